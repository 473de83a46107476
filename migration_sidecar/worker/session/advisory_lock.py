"""The migration lock: an advisory lock of the session that migrates. It is polled, never waited for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from random import uniform
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from sqlalchemy import event, text
from sqlalchemy.pool import NullPool

from migration_sidecar.protocol.lock_key import holder_of, is_held
from migration_sidecar.worker.dbapi import driver_connection
from migration_sidecar.worker.refusal import MigrationRefused

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from migration_sidecar.protocol.reports import SendReport

TRY = text("SELECT pg_try_advisory_lock(:class_id, :object_id)")
TRY_IN_TRANSACTION = text("SELECT pg_try_advisory_xact_lock(:class_id, :object_id)")
FREE = text("SELECT pg_advisory_unlock(:class_id, :object_id)")

_KEY = (":class_id", ":object_id")
HELD_BY_US = f"EXISTS (SELECT 1 FROM pg_locks WHERE pid = pg_backend_pid() AND {is_held(*_KEY)})"  # noqa: S608 - our own text
HOLDER = text(holder_of(*_KEY))


def acquire(
    connection: Connection,
    key: dict[str, int],
    *,
    wait_seconds: float,
    transaction: Callable[[], AbstractContextManager[Any]],
    report: SendReport,
    in_transaction: bool = False,
) -> None:
    """Polls until this session has the lock. After `wait_seconds` raises MigrationRefused (CM-404) with the holder.

    With `in_transaction` the lock ends with the transaction that is open, however that ends.

    A blocking wait would end by lock_timeout, and it deadlocks with CREATE INDEX CONCURRENTLY.
    """
    deadline = monotonic() + wait_seconds
    reported: str | None = None
    while True:
        # No transaction stays open between polls: CONCURRENTLY would wait for it. The lock outlives its transaction.
        with transaction():
            if connection.execute(TRY_IN_TRANSACTION if in_transaction else TRY, key).scalar():
                break
            who = _describe(connection, key)
        if who != reported:
            report({"event": "waiting", "sentence": f"Waiting for the migration lock, {who}."})
            reported = who
        if monotonic() > deadline:
            raise MigrationRefused("CM-404", f"The migration lock of this database is {who}.")
        sleep(uniform(0.05, 0.2))
    if reported:
        report({"event": "waiting", "sentence": None})


def release(connection: Connection, key: dict[str, int]) -> None:
    """Frees the lock; it may be lost already."""
    connection.execute(FREE, key)


def release_on_return(connection: Connection, key: dict[str, int]) -> None:
    """Frees the lock when env.py closes its connection, although a pool keeps the session open.

    Otherwise the next connection of the same env.py would wait for the previous one.
    """
    pool, ours = connection.engine.pool, driver_connection(connection)
    if isinstance(pool, NullPool):
        return

    def returned(driver: Any, _record: Any) -> None:
        if driver is not ours:
            return
        with suppress(Exception):  # the lock of a broken session ends with it
            driver.cursor().execute(f"SELECT pg_advisory_unlock({key['class_id']}, {key['object_id']})")
            driver.rollback()

    event.listen(pool, "checkin", returned)


def require_held(connection: Connection, key: dict[str, int]) -> None:
    """Raises MigrationRefused (CM-406) if this session no longer holds the lock. Called while it commits."""
    # With the driver's cursor, because SQLAlchemy is in the middle of its commit.
    held = HELD_BY_US.replace(":class_id", str(key["class_id"])).replace(":object_id", str(key["object_id"]))
    cursor = driver_connection(connection).cursor()
    cursor.execute(f"SELECT {held}")
    (is_held_now,) = cursor.fetchone()
    cursor.close()
    if not is_held_now:
        raise lock_lost(None)


def lock_lost(revision: str | None) -> MigrationRefused:
    """The refusal (CM-406) when this session no longer holds the lock, for example after DISCARD ALL in a revision."""
    return MigrationRefused(
        "CM-406",
        "This session no longer holds the lock of the database, so somebody else may be migrating it.",
        revision=revision,
    )


def _describe(connection: Connection, key: dict[str, int]) -> str:
    row: Any = connection.execute(HOLDER, key).first()
    if row is None:
        return "held by a session that is just ending"
    return f"held by pid {row.pid} ({row.application or 'no application name'})"
