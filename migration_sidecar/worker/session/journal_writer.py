"""The service's own record of what happened to its database, in a schema of its own, written beside the migration."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from migration_sidecar.protocol.attempt import Attempt
from migration_sidecar.protocol.journal_schema import JournalTables
from migration_sidecar.worker.session.advisory_lock import HELD_BY_US
from migration_sidecar.worker.session.changed_tables import changed

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection
    from sqlalchemy.sql.elements import TextClause


def insert(tables: JournalTables, *, where: str = "true", also: str = "", more: str = "") -> TextClause:
    """Adds one row while `where` holds and gives its transaction id.

    `also` are expressions evaluated with it, for what would otherwise be a round trip of its own; so is `more`, which
    the server adds to the detail.
    """
    # Safe to paste: the names were checked and quoted when JournalTables was made, the rest is our own text.
    return text(f"""
        INSERT INTO {tables.journal} (event_id, operation_id, version_table, attempt, revision, kind, xid, detail)
        SELECT CAST(:event_id AS uuid), CAST(:operation_id AS text), CAST(:version_table AS text),
               CAST(:attempt AS integer), CAST(:revision AS text), CAST(:kind AS text),
               CASE WHEN CAST(:revision AS text) IS NOT NULL THEN CAST(pg_current_xact_id() AS text) END,
               CAST(:detail AS jsonb){more}
        WHERE {where}
        RETURNING xid{f", {also}" if also else ""}""")


@cache
def plain(tables: JournalTables) -> TextClause:
    """Whoever holds the lock."""
    return insert(tables)


@cache
def fenced(tables: JournalTables) -> TextClause:
    """Only while this session holds the migration lock; takes the lock's key as parameters."""
    return insert(tables, where=HELD_BY_US)


@cache
def with_tables(tables: JournalTables) -> TextClause:
    """Fenced, and the server adds which tables changed; takes their names before, and the history's own table."""
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
    """Adds one row to the transaction the connection is in and gives it; None where the statement's condition fails.

    `parameters` are what the statement takes besides the row, such as the lock's key.
    """
    return connection.execute(
        statement,
        {
            "event_id": str(attempt.event_id(revision, kind)),
            "operation_id": attempt.operation_id,
            "version_table": attempt.version_table,
            "attempt": attempt.number,
            "revision": revision,
            "kind": kind,
            "detail": json.dumps(attempt.detail(**detail)),
            **(parameters or {}),
        },
    ).first()
