"""Leaves the session of a connection that a program handed over as the program had set it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from migration_sidecar.worker.session.session_settings import SETTINGS

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

NAMES = ("application_name", *SETTINGS)
READ = text("SELECT " + ", ".join(f"current_setting('{name}') AS {name}" for name in NAMES))
SET = text("SELECT " + ", ".join(f"set_config('{name}', :{name}, false)" for name in NAMES))


@contextmanager
def left_as_it_was(connection: Connection) -> Iterator[None]:
    """Sets back the settings that a guarded session changes. If no transaction was open before, none is afterwards."""
    within = connection.in_transaction()
    with _transaction(connection, within=within):
        before = dict(connection.execute(READ).one()._mapping)
    try:
        yield
    except BaseException:
        _end(connection, within=within, commit=False)
        raise
    else:
        _end(connection, within=within, commit=True)
    finally:
        if not connection.closed and not connection.invalidated:
            # A transaction of the program that failed takes no statement, and its rollback sets them back.
            with suppress(DBAPIError), _transaction(connection, within=within):
                connection.execute(SET, before)


def _transaction(connection: Connection, *, within: bool) -> AbstractContextManager[Any]:
    return nullcontext() if within else connection.begin()


def _end(connection: Connection, *, within: bool, commit: bool) -> None:
    """Ends what Alembic began by reading and left open."""
    if not within and (transaction := connection.get_transaction()) is not None:
        transaction.commit() if commit else transaction.rollback()
