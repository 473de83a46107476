"""Builds a revision in a new schema of the real database, in a transaction that cannot be committed."""

from __future__ import annotations

import os
from functools import wraps
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING, Any

from alembic import command
from alembic.runtime.environment import EnvironmentContext
from sqlalchemy import event
from sqlalchemy.pool import Pool

from migration_sidecar.protocol.catalog.snapshot import Exclusions
from migration_sidecar.protocol.jobs import SchemaBuildOrders
from migration_sidecar.protocol.reports import SendReport
from migration_sidecar.worker.adoption.stamp import snapshot
from migration_sidecar.worker.dbapi import in_autocommit
from migration_sidecar.worker.refusal import MigrationRefused
from migration_sidecar.worker.session.session_settings import set_config_sql

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy.engine import Connection

FACTS_PER_REPORT = 500
FORBID_COMMIT = "seal"


def build_in_schema(config: Config, target: str, orders: SchemaBuildOrders, report: SendReport) -> None:
    """Reports the built objects and ends this process: the server rolls back. Raises MigrationRefused (CM-555)."""
    configure, run_migrations = EnvironmentContext.configure, EnvironmentContext.run_migrations
    schema = orders["schema"]

    @wraps(configure)
    def sealed(self: EnvironmentContext, connection: Any = None, *args: Any, **options: Any) -> None:
        if connection is not None:
            _forbid_commit(connection, schema, orders)
            options.update(version_table_schema=schema, transaction_per_migration=False)
        return configure(self, connection, *args, **options)

    @wraps(run_migrations)
    def run(self: EnvironmentContext, **arguments: Any) -> None:
        try:
            run_migrations(self, **arguments)
        except AssertionError as error:
            raise _cannot_leave(error) or error from None
        context = self.get_context()
        if context.connection is not None:
            _report_objects(context, schema, orders, report)
            os._exit(0)

    event.listen(Pool, "connect", _only_read)
    EnvironmentContext.configure = sealed  # type: ignore[method-assign]
    EnvironmentContext.run_migrations = run  # type: ignore[method-assign]
    command.upgrade(config, target)


def _only_read(driver: Any, _: Any) -> None:
    """Makes every session read-only outside the one transaction that builds."""
    driver.cursor().execute("SET default_transaction_read_only = on")
    driver.commit()


def _cannot_leave(error: AssertionError) -> MigrationRefused | None:
    """The refusal if Alembic's assertion came from an autocommit_block; None for an assertion of the revision."""
    for frame in extract_tb(error.__traceback__):
        if "autocommit_block(" in (frame.line or ""):
            return MigrationRefused(
                "CM-555",
                f"{Path(frame.filename).name}:{frame.lineno}: autocommit_block cannot leave the transaction in which"
                " everything is undone.",
            )
    return None


def _forbid_commit(connection: Connection, schema: str, orders: SchemaBuildOrders) -> None:
    if in_autocommit(connection):
        raise MigrationRefused(
            "CM-555", "env.py puts its connection in AUTOCOMMIT, so nothing could be undone in the real database."
        )
    if not connection.in_transaction():
        connection.begin()
    run = connection.exec_driver_sql
    run("SET TRANSACTION READ WRITE")  # only this transaction
    run(f"SELECT {set_config_sql(orders['guards'])}".replace("\\:", ":"))
    run(f"CREATE SCHEMA {schema}")
    # The row violates a constraint that is checked at COMMIT: a COMMIT fails and undoes everything.
    run(
        f"CREATE TABLE {schema}.{FORBID_COMMIT} "
        f"(id int PRIMARY KEY, broken int REFERENCES {schema}.{FORBID_COMMIT} INITIALLY DEFERRED)"
    )
    run(f"INSERT INTO {schema}.{FORBID_COMMIT} VALUES (1, 0)")  # noqa: S608 - our own name
    run(f"SET LOCAL search_path TO {', '.join((schema, *orders['search_path']))}")


def _report_objects(context: Any, schema: str, orders: SchemaBuildOrders, report: SendReport) -> None:
    asked = Exclusions.read(orders["left_out"])
    left_out = Exclusions(
        (*asked.schemas, orders["instead_of"]),
        ((schema, FORBID_COMMIT), (schema, context.version_table), *asked.relations),
    )
    facts = snapshot(context.connection, left_out)
    for first in range(0, len(facts), FACTS_PER_REPORT):
        report({"event": "facts", "facts": list(facts[first : first + FACTS_PER_REPORT])})
    report({"event": "done", "result": {"revisions": sorted(context.get_current_heads())}})
