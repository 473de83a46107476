"""Checks before a session may migrate, among them: a direct connection to the right, writable database."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from migration_sidecar.protocol.attempt import session_name
from migration_sidecar.protocol.journal_schema import ABOUT_THE_SERVER, JournalTables
from migration_sidecar.protocol.orders import MigrationOrders
from migration_sidecar.protocol.server_words import readable
from migration_sidecar.protocol.version_table import VersionTable
from migration_sidecar.worker.dbapi import backend_pid, driver_error, server_words, sqlstate_of
from migration_sidecar.worker.refusal import MigrationRefused
from migration_sidecar.worker.session import journal_writer
from migration_sidecar.worker.session.session_settings import set_config_sql
from migration_sidecar.worker.version_table import default_schema_of, find, named_schema

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection
    from sqlalchemy.sql.elements import TextClause

    from migration_sidecar.protocol.attempt import Attempt

INSUFFICIENT_PRIVILEGE = "42501"


def check_session(connection: Connection, orders: MigrationOrders, attempt: Attempt) -> Any:
    """Sets the session's settings and reads facts about server, role and journal in one round trip.

    `may_write` is None if there is no journal.
    """
    # Looked up by name, because to_regclass fails without USAGE on the schema.
    statement = text(f"""
        SELECT pg_backend_pid() AS pid, pg_is_in_recovery() AS standby, current_user AS role,
               current_setting('transaction_read_only') = 'on' AS read_only,
               has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'INSERT') AS may_write,
               CASE WHEN own.oid IS NULL THEN has_database_privilege(current_database(), 'CREATE')
                    ELSE has_schema_privilege(own.oid, 'CREATE') END AS may_create,
               set_config('application_name', :application, false), {set_config_sql(orders.guards)}
        FROM (SELECT 1) AS one LEFT JOIN (pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace)
          ON n.nspname = '{orders.tables.schema}' AND c.relname = '{orders.tables.journal_name}'
        LEFT JOIN pg_namespace own ON own.nspname = '{orders.tables.schema}'""")  # noqa: S608
    return connection.execute(statement, {"application": session_name(attempt.operation_id)}).first()


def attempt_statement(orders: MigrationOrders) -> TextClause:
    """The statement for the attempt's row. With `same_database` it adds none if the operation's row is missing."""
    if not orders.same_database:
        return journal_writer.insert_unfenced(orders.tables)
    operation_is_here = (
        f"EXISTS (SELECT FROM {orders.tables.operations} WHERE operation_id = CAST(:operation_id AS text))"
    )
    return journal_writer.insert(orders.tables, where=operation_is_here)


def require_agreed(files: Mapping[str, str], orders: MigrationOrders) -> None:
    """Raises MigrationRefused (CM-306) if others migrated meanwhile, or if a file is not the agreed one.

    `files` are the SHA-256 of the files, by id, of the revisions to run.
    """
    if orders.agreed is None:
        return
    if more := [revision for revision in files if revision not in orders.agreed]:
        raise _plan_changed(f"Others have moved the database since; {', '.join(more)} would come on top.")
    if other := [revision for revision, file in files.items() if orders.agreed[revision] not in (None, file)]:
        raise _plan_changed(f"The file of {', '.join(other)} is not the one that the plan was made of.")


def require_there(files: Mapping[str, str], goals: Collection[str]) -> None:
    """Raises MigrationRefused (CM-306) if the file of a revision in `goals` is missing, though it was agreed."""
    if gone := [revision for revision in goals if revision not in files]:
        raise _plan_changed(f"There is no revision file of {', '.join(gone)} any more.")


def _plan_changed(detail: str) -> MigrationRefused:
    return MigrationRefused("CM-306", detail)


def require_direct_primary(connection: Connection, row: Any) -> None:
    """Raises MigrationRefused: CM-521 for a standby, CM-541 for a pooler. `row` is from `check_session`."""
    if row.standby:
        raise _read_only()
    ours = backend_pid(connection)
    if ours is not None and ours != row.pid:
        raise MigrationRefused(
            "CM-541",
            "The session that answers is not the one that was opened; behind a pooler the lock protects nothing.",
        )


def require_writable(row: Any) -> None:
    """Raises MigrationRefused (CM-521) if the session is read-only. `row` is from `check_session`."""
    if row.read_only:
        raise _read_only()


def _read_only() -> MigrationRefused:
    return MigrationRefused("CM-521", "The database is a standby or set to read-only, so nothing can be migrated here.")


def version_table_of(context: Any, orders: MigrationOrders) -> VersionTable:
    """The version table that Alembic finds on its connection now. The schema is empty for the usual search_path."""
    connection, name = context.connection, context.version_table
    schema = named_schema(connection, context.version_table_schema)
    if not schema and orders.reads_schema:
        schema = default_schema_of(find(connection, name, ""))
    return VersionTable(name, schema)


@contextmanager
def has_grants(tables: JournalTables, role: str) -> Iterator[None]:
    """Turns PostgreSQL's refusal to create our tables into MigrationRefused (CM-504, CM-505)."""
    try:
        yield
    except DBAPIError as error:
        sqlstate = sqlstate_of(error)
        if sqlstate is None or sqlstate.startswith(ABOUT_THE_SERVER):
            raise
        said = readable(server_words(driver_error(error)))
        if sqlstate == INSUFFICIENT_PRIVILEGE:
            raise missing_grant(tables, role, said) from None
        raise MigrationRefused(
            "CM-505",
            f"The database does not let the journal be made in {tables.schema}.{tables.journal_name}; nothing was"
            " touched.",
            server_message=said,
        ) from None


def missing_grant(tables: JournalTables, role: str, said: str | None = None) -> MigrationRefused:
    """The refusal (CM-504) for a role that may not write the journal, with the GRANT it needs."""
    return MigrationRefused(
        "CM-504",
        f"User {role} cannot keep the journal in {tables.schema}.{tables.journal_name}.",
        f"GRANT USAGE, CREATE ON SCHEMA {tables.schema} TO {role}, with SELECT, INSERT and UPDATE on its tables,"
        " or name a table with journal_table.",
        server_message=said,
    )


def other_database() -> MigrationRefused:
    """The refusal (CM-702) when env.py connects to another database than the service."""
    return MigrationRefused(
        "CM-702",
        "The operation that was accepted is not in the database that env.py connects to; nothing was touched.",
        "Let env.py use the URL that this service is configured with, or give --database-url.",
    )


def uncommitted(revisions: Collection[str], *, external: bool) -> MigrationRefused:
    """The refusal (CM-410) when env.py did not commit the transaction of these revisions."""
    what = f"Nobody committed {', '.join(revisions)}, so they were undone"
    if external:
        return MigrationRefused("CM-410", f"{what}: env.py used the connection before context.configure.")
    return MigrationRefused(
        "CM-410",
        f"{what}: env.py called context.run_migrations() outside of a transaction that it commits.",
        "Let env.py call it inside: with context.begin_transaction().",
    )


def undone(revisions: Collection[str]) -> MigrationRefused:
    """The refusal (CM-410) when env.py rolled back to a savepoint from before these revisions."""
    return MigrationRefused(
        "CM-410",
        f"env.py rolled back to a savepoint from before {', '.join(revisions)}, so they were undone.",
        "Let env.py keep what it ran: release the savepoint.",
    )
