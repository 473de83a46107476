"""Which errors mean that env.py's driver got no session, so that the server is asked and it is tried again."""

from __future__ import annotations

import errno
from socket import gaierror

import asyncpg
import psycopg
import pytest
from psycopg.errors import ConnectionTimeout
from sqlalchemy.exc import OperationalError

from migration_sidecar.worker.failure_report import describe_failure


class TimeoutErrorOfAsyncio(Exception):
    """As asyncio has it before Python 3.11, where it is not Python's own."""


TimeoutErrorOfAsyncio.__name__ = "TimeoutError"


def caused_by(cause: BaseException) -> BaseException:
    error = RuntimeError("env.py: no session")
    error.__cause__ = cause
    return error


NO_SESSION = [
    psycopg.OperationalError("connection refused"),
    ConnectionTimeout("connection timeout expired"),
    OperationalError("SELECT 1", {}, psycopg.OperationalError("server closed the connection unexpectedly")),
    TimeoutError(),
    TimeoutErrorOfAsyncio(),
    ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
    ConnectionResetError(errno.ECONNRESET, "reset"),
    ConnectionError("unexpected connection_lost() call"),
    gaierror(-3, "temporary failure in name resolution"),
    OSError("Multiple exceptions: [Errno 111] refused, [Errno 111] refused"),
    OSError(errno.EHOSTUNREACH, "no route to host"),
    OSError(errno.EMFILE, "too many open files"),
    OSError(errno.EADDRNOTAVAIL, "cannot assign requested address"),
    caused_by(TimeoutError()),
]
SOMETHING_ELSE = [
    FileNotFoundError(errno.ENOENT, "no such file"),
    PermissionError(errno.EACCES, "permission denied"),
    OSError(errno.ENOSPC, "no space left on device"),
    RuntimeError("env.py needs STAGE"),
    asyncpg.InvalidPasswordError("password authentication failed"),
    asyncpg.UndefinedTableError("relation does not exist"),
]


def describe(error: BaseException) -> str:
    return f"{type(error).__name__} {error}"


@pytest.mark.parametrize("error", NO_SESSION, ids=describe)
def test_a_driver_that_got_no_session_is_told_from_an_env_file_that_is_wrong(error: BaseException) -> None:
    assert describe_failure(error, None)["unconnected"]


@pytest.mark.parametrize("error", SOMETHING_ELSE, ids=describe)
def test_an_error_that_is_none_of_the_network_is_not_tried_again(error: BaseException) -> None:
    assert not describe_failure(error, None)["unconnected"]


def test_a_revision_that_meets_the_network_had_a_session() -> None:
    assert not describe_failure(TimeoutError(), "a1")["unconnected"]
