"""Runs Alembic for a service's env.py, which only calls `run`.

When a person uses the command `alembic`, the migration gets the same lock and journal as one of the service.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from alembic import context
from alembic.util import CommandError
from sqlalchemy import MetaData, create_engine
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from migration_sidecar.config.alembic_files import AlembicFiles
from migration_sidecar.config.database_url import InvalidDatabaseUrl, database_url, mask_password
from migration_sidecar.protocol.attempt import Attempt
from migration_sidecar.protocol.first_upgrade.rule import OTHER_TABLES
from migration_sidecar.protocol.journal_schema import journal_tables
from migration_sidecar.protocol.orders import MigrationOrders
from migration_sidecar.protocol.origin import Origin
from migration_sidecar.protocol.reports import Report
from migration_sidecar.protocol.url import URL
from migration_sidecar.worker.env.autogenerate import without_journal
from migration_sidecar.worker.failure_report import describe_failure
from migration_sidecar.worker.known_passwords import learn
from migration_sidecar.worker.refusal import MigrationRefused, sentence
from migration_sidecar.worker.session import configure_hook, journal_writer
from migration_sidecar.worker.session.handed_connection import left_as_it_was
from migration_sidecar.worker.session.session_settings import configured

LOCK_WAIT_SECONDS = 600.0  # for the command `alembic`; Ctrl-C ends the wait


Migrate = Callable[[Connection], None]


def run(metadata: MetaData, **options: Any) -> None:
    """Called by env.py for every command of Alembic. `options` go to context.configure unchanged.

    A connection or engine in `config.attributes["connection"]` is used instead of a URL. Who began a transaction on it
    ends it. Raises CommandError, which Alembic prints as one line.
    """
    options.setdefault("transaction_per_migration", True)  # a long history keeps what is done
    handed = context.config.attributes.get("connection")
    config_file = Path(context.config.config_file_name or "alembic.ini")
    if context.is_offline_mode():
        where = {"url": _text(_url(config_file))} if handed is None else {"dialect_name": handed.dialect.name}
        context.configure(target_metadata=metadata, literal_binds=True, **where, **options)
        with context.begin_transaction():
            context.run_migrations()
        return
    with _guarded(config_file, handed_over=handed is not None) as by_hand:
        seen = without_journal(options, by_hand.orders.tables) if by_hand is not None else options

        def migrate(connection: Connection) -> None:
            _migrate(connection, by_hand, {"target_metadata": metadata, **seen})

        if handed is None:
            _migrate_url(_url(config_file), migrate, by_hand)
        else:
            _migrate_handed(handed, migrate)


def _url(config_file: Path) -> URL:
    try:
        return database_url(config_file)
    except InvalidDatabaseUrl as error:
        raise CommandError(str(error)) from None


@contextmanager
def _guarded(config_file: Path, *, handed_over: bool) -> Iterator[NativeAlembicRun | None]:
    """Guards this run of env.py, and no later one of the same process. None if a worker process guards it already."""
    if configure_hook.installed():
        yield None
        return
    by_hand = NativeAlembicRun(AlembicFiles.locate(config_file), handed_over=handed_over)
    by_hand.sessions = configure_hook.install(lambda _: by_hand.orders, by_hand.tell)
    try:
        yield by_hand
    finally:
        configure_hook.remove()


def _migrate_url(url: URL, migrate: Migrate, by_hand: NativeAlembicRun | None) -> None:
    try:
        if "asyncpg" in url.drivername:
            from sqlalchemy.ext.asyncio import create_async_engine  # a synchronous service need not load it

            asyncio.run(_run_async(create_async_engine(_text(url), poolclass=NullPool), migrate))
        else:
            with create_engine(_text(url), poolclass=NullPool).connect() as connection:
                migrate(connection)
    except (OSError, OperationalError) as error:
        if by_hand is None or by_hand.connected:
            raise
        raise CommandError(_no_connection(url, error)) from None


def _migrate_handed(handed: Any, migrate: Migrate) -> None:
    """`handed` is a connection, an engine, the asynchronous form of one of them, or what has `connect` as an engine."""
    if isinstance(handed, Connection):
        migrate(handed)
    elif hasattr(handed, "sync_connection"):  # an AsyncConnection within run_sync
        migrate(handed.sync_connection)
    elif hasattr(handed, "sync_engine"):
        asyncio.run(_run_async(handed, migrate))
    else:
        with handed.connect() as connection:
            migrate(connection)


async def _run_async(engine: Any, migrate: Migrate) -> None:
    try:
        async with engine.connect() as connection:
            await connection.run_sync(migrate)
    finally:
        await engine.dispose()  # its sessions belong to this loop, which ends


def _migrate(connection: Connection, by_hand: NativeAlembicRun | None, options: dict[str, Any]) -> None:
    if by_hand is None:
        _run_migrations(connection, options)
        return
    by_hand.connected, by_hand.within = True, by_hand.handed_over and connection.in_transaction()
    with left_as_it_was(connection) if by_hand.handed_over else nullcontext():
        try:
            _run_migrations(connection, options)
        except Exception as error:
            by_hand.record_failure(connection, error)
            if said := by_hand.sentence_for(connection, error):
                raise CommandError(said) from None  # Alembic prints a CommandError as one line, without a traceback
            raise
        finally:
            by_hand.leave()


def _run_migrations(connection: Connection, options: dict[str, Any]) -> None:
    context.configure(connection=connection, **options)
    with context.begin_transaction():
        context.run_migrations()


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

    def __init__(self, files: AlembicFiles, *, handed_over: bool = False) -> None:
        self.handed_over = handed_over  # the connection is a program's, which goes on with it
        self.within = False  # a transaction of that program, which only the program ends
        self.sessions: configure_hook.GuardedSessions | None = None
        settings = files.own() if files.named.exists() else {}
        person = f"{getpass.getuser()}@{os.uname().nodename}"
        beside = OTHER_TABLES if str(settings.get("beside_other_tables")).lower() == "true" else None
        service = settings.get("service") or os.environ.get("APP_ID") or files.folder.name
        facts = {"service": service, "beside": beside}
        self.attempt = Attempt(f"by-hand-{uuid4()}", number=1, actor=person, way_in=Origin.BY_HAND, facts=facts)
        named = os.environ.get("MIGRATION_JOURNAL_TABLE") or settings.get("journal_table")
        try:
            self.orders = MigrationOrders(
                self.attempt,
                LOCK_WAIT_SECONDS,
                configured(settings),
                journal_tables(named),
                handed_over=handed_over,
                beside=beside,
            )
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
        """The line to print if PostgreSQL or a rule of ours refused; None for other errors, which need a traceback.

        A program that handed its connection over gets the driver's own error.
        """
        if isinstance(error, MigrationRefused):
            return str(error)
        if self.handed_over:
            return None
        learn(connection.engine.url.username, connection.engine.url.password)
        problem = describe_failure(error, self.revision)
        if problem.get("sqlstate") is None or not self.migrating:
            return None
        return mask_password(f"{sentence(problem)} (SQLSTATE {problem['sqlstate']})", connection.engine.url)

    def record_failure(self, connection: Connection, error: Exception) -> None:
        """Writes the `failed` row, unless the connection is lost."""
        if not self.migrating or connection.invalidated or connection.closed:
            return  # the attempt row without an end says all that is known
        if not self.within:
            connection.rollback()
        learn(connection.engine.url.username, connection.engine.url.password)
        problem = error.facts if isinstance(error, MigrationRefused) else describe_failure(error, self.revision)
        facts: dict[str, Any] = {"error": problem["detail"], "server_message": problem.get("server_message")}
        facts = {name: text and mask_password(text, connection.engine.url) for name, text in facts.items()}
        facts["sqlstate"] = problem.get("sqlstate")
        statement = journal_writer.insert_unfenced(self.orders.tables)
        # There may be no journal, and the role may not make one.
        with suppress(DBAPIError, MigrationRefused), self._own_transaction(connection):
            journal_writer.write(connection, self.attempt, "failed", statement, **facts)

    def _own_transaction(self, connection: Connection) -> AbstractContextManager[Any]:
        return connection.begin_nested() if self.within else connection.begin()

    def leave(self) -> None:
        """Frees the lock, where the connection stays open for the program that it belongs to."""
        if self.handed_over and self.sessions is not None:
            self.sessions.leave()
