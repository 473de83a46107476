"""Writes rows of the journal, in the transactions of the migration."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from migration_sidecar.protocol.attempt import Attempt
from migration_sidecar.protocol.journal_schema import UTF_8, JournalTables, to_ascii
from migration_sidecar.worker.dbapi import sqlstate_of
from migration_sidecar.worker.refusal import MigrationRefused
from migration_sidecar.worker.session.advisory_lock import HELD_BY_US
from migration_sidecar.worker.session.changed_tables import changed

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection
    from sqlalchemy.sql.elements import TextClause

_NO_SUCH_TABLE = ("42P01", "3F000")  # undefined table, undefined schema
_ENCODING = "migration_sidecar_server_encoding"  # in Connection.info, which lasts as long as the driver's connection
_NUL = "\\u0000"  # jsonb refuses it whatever the encoding


def insert(tables: JournalTables, *, where: str = "true", also: str = "", more: str = "") -> TextClause:
    """A statement that adds one row if `where` is true, and returns its transaction id.

    `also` are expressions to return with it, which saves a round trip. `more` is SQL that adds to the row's detail.
    """
    # Safe as text: JournalTables checked and quoted the names, and the rest is constant.
    return text(f"""
        INSERT INTO {tables.journal} (event_id, operation_id, version_table, attempt, revision, kind, xid, detail)
        SELECT CAST(:event_id AS uuid), CAST(:operation_id AS text), CAST(:version_table AS text),
               CAST(:attempt AS integer), CAST(:revision AS text), CAST(:kind AS text),
               CASE WHEN CAST(:revision AS text) IS NOT NULL THEN CAST(pg_current_xact_id() AS text) END,
               CAST(:detail AS jsonb){more}
        WHERE {where}
        RETURNING xid{f", {also}" if also else ""}""")


@cache
def insert_unfenced(tables: JournalTables) -> TextClause:
    """Adds a row without a check of the lock."""
    return insert(tables)


@cache
def insert_fenced(tables: JournalTables) -> TextClause:
    """Adds a row only if this session holds the migration lock. The lock's key is a parameter."""
    return insert(tables, where=HELD_BY_US)


@cache
def insert_fenced_with_changed_tables(tables: JournalTables) -> TextClause:
    """`fenced`, with the changed tables in the detail. Further parameters are those of `changed_tables.changed`."""
    return insert(tables, where=HELD_BY_US, more=changed(tables))


def write(
    connection: Connection,
    attempt: Attempt,
    kind: str,
    statement: TextClause,
    *,
    revision: str | None = None,
    parameters: dict[str, Any] | None = None,
    **detail: Any,
) -> Any:
    """Executes one of these statements in the current transaction. Returns the row, or None if its condition was false.

    `parameters` are those of the statement besides the row, such as the lock's key. Raises MigrationRefused (CM-415) if
    the journal is gone: the revision that ran before dropped it.
    """
    row = {
        "event_id": str(attempt.event_id(revision, kind)),
        "operation_id": attempt.operation_id,
        "version_table": attempt.version_table,
        "attempt": attempt.number,
        "revision": revision,
        "kind": kind,
        "detail": _storable(connection, json.dumps(attempt.detail(**detail))),
    }
    try:
        return connection.execute(statement, {**row, **(parameters or {})}).first()
    except DBAPIError as error:
        if sqlstate_of(error) not in _NO_SUCH_TABLE:
            raise
        raise _dropped(revision) from error


def _storable(connection: Connection, document: str) -> str:
    """The JSON as this database can hold it. Only text with an escape makes it ask for the encoding, once."""
    if "\\u" not in document:
        return document
    encoding = connection.info.get(_ENCODING)
    if encoding is None:
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
        connection.info[_ENCODING] = encoding
    return document if encoding == UTF_8 and _NUL not in document else to_ascii(document)


def _dropped(revision: str | None) -> MigrationRefused:
    return MigrationRefused(
        "CM-415",
        f"Revision {revision} dropped the journal of migrations; it was undone as far as it ran in a transaction."
        if revision
        else "The journal of migrations was dropped meanwhile.",
        "Remove what that revision says about the journal's tables, in downgrade() too.",
        revision=revision,
    )
