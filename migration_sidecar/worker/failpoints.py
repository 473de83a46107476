"""Failpoints: named places where a test can kill, stop, fail or disconnect a migration. They do nothing otherwise."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from alembic.util import CommandError

from migration_sidecar.protocol.failpoint_spec import Failpoint, parse_failpoints
from migration_sidecar.worker.dbapi import socket_of


class FailpointReached(Exception):
    """Raised by the action `raise`."""


def reach(name: str, connection: Any = None) -> None:
    """Called where the migration reaches the failpoint. Returns at once unless a test asked for an action here."""
    if _ACTIVE:
        _arrive(name, connection)


def watch_commit(connection: Any) -> None:
    """Makes this connection's next statement, which is COMMIT, reach `commit_sent`, if a test uses that failpoint."""
    if any(point.name == "commit_sent" for point in _ACTIVE):
        _drop_answer(connection)


def reach_after(name: str, steps: list[Any], connection: Any) -> Iterable[Any]:
    """The same steps. The failpoint is reached when the step after the last one is asked for."""
    if not any(point.name == name for point in _ACTIVE):
        return steps
    return _steps_then_reach(steps, name, connection)


def watch_autocommit_blocks() -> None:
    """Makes every autocommit_block of this process reach its failpoints, if a test uses them."""
    if not any(point.name.startswith("autocommit_") for point in _ACTIVE):
        return
    from alembic.runtime.migration import MigrationContext

    original = MigrationContext.autocommit_block

    @contextmanager
    def autocommit_block(self: MigrationContext) -> Iterator[None]:
        reach("autocommit_begins", self.connection)
        with original(self):
            reach("autocommit_inside", self.connection)
            yield
            reach("autocommit_inside", self.connection)

    MigrationContext.autocommit_block = autocommit_block  # type: ignore[method-assign]


def _arrive(name: str, connection: Any) -> None:
    wanted = [point for point in _ACTIVE if point.name == name]
    if not wanted:
        return
    number = _record(name)
    for point in wanted:
        if point.nth == number:
            _act(point, connection)


def _record(name: str, hit: str = "") -> int:
    """Appends one line to the log and returns how many arrivals at this failpoint it has now."""
    with open(os.environ["MIGRATION_FAILPOINTS_LOG"], "a+", encoding="utf-8") as file:  # noqa: PTH123 - O_APPEND
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(f"{'hit' if hit else 'at'} {name}{hit and ' ' + hit} {os.getpid()} {time.time():.3f}\n")
        file.flush()
        file.seek(0)
        return sum(1 for line in file if line.startswith(f"at {name} "))


def _act(point: Failpoint, connection: Any) -> None:
    _record(point.name, point.action)
    if point.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif point.action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif point.action == "raise":
        raise FailpointReached(f"failpoint {point.name}")
    elif point.action == "drop":
        _shut_down_socket(connection)
    else:
        time.sleep(int(point.action.partition(":")[2]) / 1000)


def _steps_then_reach(steps: list[Any], name: str, connection: Any) -> Iterator[Any]:
    yield from steps
    reach(name, connection)


def _shut_down_socket(connection: Any) -> None:
    descriptor = socket_of(connection)
    if descriptor is None:
        raise FailpointReached("this driver does not show its socket, so it cannot be cut off")
    with socket.socket(fileno=os.dup(descriptor)) as ours:
        ours.shutdown(socket.SHUT_RDWR)


def _drop_answer(connection: Any) -> None:
    """The failpoint is reached when the driver waits for the answer to its next statement."""
    driver = connection.connection.dbapi_connection
    inner = getattr(driver, "driver_connection", driver)
    if hasattr(inner, "get_server_pid"):  # asyncpg
        # It sends COMMIT before it yields to the loop, and the loop runs this call before it reads the socket.
        inner._loop.call_soon(reach, "commit_sent", connection)
    elif hasattr(driver, "wait"):  # psycopg
        driver.wait = _waiting_once(driver, driver.wait, lambda: reach("commit_sent", connection))


def _waiting_once(driver: Any, wait: Callable[..., Any], sent: Callable[[], None]) -> Callable[..., Any]:
    def wait_for(conversation: Any, *args: Any, **options: Any) -> Any:
        del driver.wait

        def with_failpoint() -> Any:
            asked = next(conversation)  # psycopg has sent the statement when it first waits for its socket
            sent()
            while True:
                try:
                    asked = conversation.send((yield asked))
                except StopIteration as answer:
                    return answer.value

        return wait(with_failpoint(), *args, **options)

    return wait_for


try:
    _ACTIVE = parse_failpoints(os.environ)
except ValueError as error:  # a CommandError, because Alembic prints it as one line
    raise CommandError(f"CM-701 The configuration cannot be used: {error}. Correct it and start again.") from None
