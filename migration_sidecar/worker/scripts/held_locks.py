"""A preview goes on without a lock that somebody else holds, and without one that it holds itself elsewhere.

The upgrade waits for such a lock. A preview commits nothing, so that it needs none, and it must not wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from sqlalchemy.engine.default import DefaultDialect

from migration_sidecar.worker.dbapi import sqlstate_of
from migration_sidecar.worker.transaction_statements import manages_transactions

LOCK_NOT_AVAILABLE = "55P03"
_INSTEAD = "SELECT NULL"  # one row, for code that reads the answer of a function that locks


class HeldLocks:
    """Whether a statement was left out because of a lock."""

    def __init__(self) -> None:
        self.were_met = False


@contextmanager
def passing_held_locks() -> Iterator[HeldLocks]:
    """A statement of SQLAlchemy that gets no lock within its lock_timeout has no effect in the block, and no error."""
    held = HeldLocks()
    names = ("do_execute", "do_execute_no_params")
    before = {name: getattr(DefaultDialect, name) for name in names}
    for name, execute in before.items():
        setattr(DefaultDialect, name, _passing(execute, held))
    try:
        yield held
    finally:
        for name, execute in before.items():
            setattr(DefaultDialect, name, execute)


def _passing(execute: Any, held: HeldLocks) -> Any:
    @wraps(execute)
    def run(self: Any, cursor: Any, statement: str, *more: Any, **options: Any) -> None:
        driver = getattr(cursor, "connection", None) or getattr(cursor, "_adapt_connection", None)
        if driver is None or self.name != "postgresql" or _needs_no_savepoint(statement):
            execute(self, cursor, statement, *more, **options)
            return
        beside = driver.cursor()  # the other one may be a cursor of the server
        beside.execute("SAVEPOINT before_a_lock")
        try:
            execute(self, cursor, statement, *more, **options)
        except Exception as error:
            if sqlstate_of(error) != LOCK_NOT_AVAILABLE:
                raise
            held.were_met = True
            beside.execute("ROLLBACK TO SAVEPOINT before_a_lock")
            cursor.execute(_INSTEAD)
        else:
            if not getattr(cursor, "name", None):  # what a cursor of the server reads ends with the savepoint
                beside.execute("RELEASE SAVEPOINT before_a_lock")

    return run


def _needs_no_savepoint(statement: str) -> bool:
    """Whether it waits for no lock, and would lose its meaning behind a savepoint or end that one itself."""
    return statement.lstrip()[:4].upper() == "SET " or manages_transactions(statement)  # SET TRANSACTION comes first
