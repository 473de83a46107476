"""Runs Alembic for a service's env.py, which only calls `run`.

When a person uses the command `alembic`, the migration gets the same lock and journal as one of the service.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

from alembic import context
from alembic.util import CommandError
from sqlalchemy import MetaData, create_engine
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from migration_sidecar.config.alembic_files import AlembicFiles
from migration_sidecar.config.database_url import InvalidDatabaseUrl, database_url, mask_password
from migration_sidecar.protocol.attempt import Attempt
from migration_sidecar.protocol.journal_schema import journal_tables
from migration_sidecar.protocol.orders import MigrationOrders
from migration_sidecar.protocol.origin import Origin
from migration_sidecar.protocol.reports import Report
from migration_sidecar.protocol.url import URL
from migration_sidecar.worker.failure_report import describe_failure
from migration_sidecar.worker.refusal import MigrationRefused, sentence
from migration_sidecar.worker.session import configure_hook, journal_writer
from migration_sidecar.worker.session.session_settings import configured

LOCK_WAIT_SECONDS = 600.0  # for the command `alembic`; Ctrl-C ends the wait


def run(metadata: MetaData, **options: Any) -> None:
    """Called by env.py for every command of Alembic. `options` go to context.configure unchanged.

    Raises CommandError, which Alembic prints as one line.
    """
    options.setdefault("transaction_per_migration", True)  # a long history keeps what is done
    config_file = Path(context.config.config_file_name or "alembic.ini")
    try:
        url = database_url(config_file)
    except InvalidDatabaseUrl as error:
        raise CommandError(str(error)) from None
    if context.is_offline_mode():
        context.configure(url=_text(url), target_metadata=metadata, literal_binds=True, **options)
        with context.begin_transaction():
            context.run_migrations()
        return
    by_hand = None if configure_hook.installed() else NativeAlembicRun(AlembicFiles.locate(config_file))
    if by_hand is not None:
        configure_hook.install(lambda _: by_hand.orders, by_hand.tell)
    try:
        if "asyncpg" in url.drivername:
            asyncio.run(_run_async(url, metadata, by_hand, options))
        else:
            engine = create_engine(_text(url), poolclass=NullPool)
            with engine.connect() as connection:
                _migrate(connection, metadata, by_hand, options)
    except (OSError, OperationalError) as error:
        if by_hand is None or by_hand.connected:
            raise
        raise CommandError(_no_connection(url, error)) from None


async def _run_async(url: URL, metadata: MetaData, by_hand: NativeAlembicRun | None, options: dict[str, Any]) -> None:
    from sqlalchemy.ext.asyncio import (
        create_async_engine,
    )  # importing it takes time that a synchronous service need not spend

    engine = create_async_engine(_text(url), poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(_migrate, metadata, by_hand, options)


def _migrate(
    connection: Connection, metadata: MetaData, by_hand: NativeAlembicRun | None, options: dict[str, Any]
) -> None:
    if by_hand is not None:
        by_hand.connected = True
    try:
        context.configure(connection=connection, target_metadata=metadata, **options)
        with context.begin_transaction():
            context.run_migrations()
    except Exception as error:
        if by_hand is not None:
            by_hand.record_failure(connection, error)
            if said := by_hand.sentence_for(connection, error):
                raise CommandError(said) from None  # Alembic prints a CommandError as one line, without a traceback
        raise


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def _no_connection(url: URL, error: Exception) -> str:
    """One line for Alembic to print. The driver's text may name user and server, never the password."""
    reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
    return f"No session with database {url.database} at {url.host}:{url.port or 5432}: {reason}"


class NativeAlembicRun:
    """A migration with the command `alembic`: writes the journal row of a failure and prints what it waits for.

    When the service migrates, it does both itself.
    """

    def __init__(self, files: AlembicFiles) -> None:
        settings = files.own()
        person = f"{getpass.getuser()}@{os.uname().nodename}"
        facts = {"service": settings.get("service") or os.environ.get("APP_ID") or files.folder.name}
        self.attempt = Attempt(f"by-hand-{uuid4()}", number=1, actor=person, way_in=Origin.BY_HAND, facts=facts)
        named = os.environ.get("MIGRATION_JOURNAL_TABLE") or settings.get("journal_table")
        try:
            self.orders = MigrationOrders(self.attempt, LOCK_WAIT_SECONDS, configured(settings), journal_tables(named))
        except ValueError as error:
            raise CommandError(f"journal_table: {error}") from None
        self.revision: str | None = None
        self.connected = False
        self.migrating = False  # only a migration writes to the journal

    def tell(self, report: Report) -> None:
        """Takes the reports of the guarded session and prints some of them."""
        self.migrating = self.migrating or report["event"] in ("waiting", "locked")
        if report["event"] == "revision":
            self.revision = report["revision"]
        elif report["event"] == "waiting" and report["sentence"]:
            print(report["sentence"], file=sys.stderr)
        elif report["event"] == "applied":
            print(f"{report['kind']} {report['revision']} in {report['duration_ms']} ms", file=sys.stderr)

    def sentence_for(self, connection: Connection, error: Exception) -> str | None:
        """The line to print if PostgreSQL or a rule of ours refused; None for other errors, which need a traceback."""
        if isinstance(error, MigrationRefused):
            return str(error)
        problem = describe_failure(error, self.revision)
        if problem.get("sqlstate") is None or not self.migrating:
            return None
        return mask_password(f"{sentence(problem)} (SQLSTATE {problem['sqlstate']})", connection.engine.url)

    def record_failure(self, connection: Connection, error: Exception) -> None:
        """Writes the `failed` row, unless the connection is lost."""
        if not self.migrating or connection.invalidated or connection.closed:
            return  # the attempt row without an end says all that is known
        connection.rollback()
        problem = error.facts if isinstance(error, MigrationRefused) else describe_failure(error, self.revision)
        facts: dict[str, Any] = {"error": problem["detail"], "server_message": problem.get("server_message")}
        facts = {name: text and mask_password(text, connection.engine.url) for name, text in facts.items()}
        facts["sqlstate"] = problem.get("sqlstate")
        statement = journal_writer.insert_unfenced(self.orders.tables)
        with connection.begin():
            journal_writer.write(connection, self.attempt, "failed", statement, **facts)
