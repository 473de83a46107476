"""Stamps a database that was compared with a revision, under the migration lock and only if nothing changed since."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

from alembic import command
from alembic.runtime.environment import EnvironmentContext

from migration_sidecar.protocol.catalog.snapshot import PLAIN_PRINT, CatalogObject, Exclusions, digest, query
from migration_sidecar.protocol.jobs import StampProof
from migration_sidecar.worker.dbapi import in_autocommit
from migration_sidecar.worker.refusal import MigrationRefused

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy.engine import Connection


def stamp(config: Config, proof: StampProof) -> None:
    """Raises MigrationRefused (CM-553, CM-554) if the database is no longer as in `proof`.

    The guarded session is installed already, so the check runs under the lock and before the version row is written.
    """
    guarded = EnvironmentContext.configure

    @wraps(guarded)
    def configure(self: EnvironmentContext, connection: Any = None, *args: Any, **options: Any) -> None:
        if connection is not None and self.context_opts.get("destination_rev"):
            self.context_opts["fn"] = _checked(self.context_opts["fn"], proof)
        return guarded(self, connection, *args, **options)

    EnvironmentContext.configure = configure  # type: ignore[method-assign]
    command.stamp(config, tuple(proof["revisions"]))


def snapshot(connection: Connection, left_out: Exclusions) -> list[CatalogObject]:
    """All objects of the database. A transaction that the connection is in goes on unchanged."""
    with _stamp_failed(connection):
        connection.exec_driver_sql(PLAIN_PRINT)
        return [CatalogObject(row[0], row[1], row[2]) for row in connection.exec_driver_sql(query(left_out)).fetchall()]


def _checked(plan: Callable[..., Any], proof: StampProof) -> Callable[..., Any]:
    left_out = Exclusions.read(proof["left_out"])

    def checked(heads: Any, context: Any) -> Any:
        if heads:
            raise _managed_meanwhile(heads)
        if digest(snapshot(context.connection, left_out)) != proof["digest"]:
            raise _changed_meanwhile()
        return plan(heads, context)

    return checked


@contextmanager
def _stamp_failed(connection: Connection) -> Iterator[None]:
    """Undoes the settings that are made in the block."""
    if in_autocommit(connection):
        connection.exec_driver_sql("BEGIN")
        try:
            yield
        finally:
            connection.exec_driver_sql("ROLLBACK")
        return
    transaction = connection.begin_nested() if connection.in_transaction() else connection.begin()
    try:
        yield
    finally:
        transaction.rollback()


def _managed_meanwhile(heads: Any) -> MigrationRefused:
    return MigrationRefused(
        "CM-553",
        f"It came to {', '.join(sorted(heads))} while it was compared; nothing was stamped.",
    )


def _changed_meanwhile() -> MigrationRefused:
    return MigrationRefused(
        "CM-554",
        "An object was changed while it was compared; nothing was stamped.",
        "Find out who changes it, and adopt it again.",
    )
