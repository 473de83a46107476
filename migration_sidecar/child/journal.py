"""The service's own record of what happened to its database, in a schema of its own, written beside the migration."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from sqlalchemy import text

from migration_sidecar.child.lock import HELD_BY_US
from migration_sidecar.child.tables import JournalTables

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection
    from sqlalchemy.sql.elements import TextClause

NAMESPACE = UUID("7d8c7e0e-53c4-5c1b-9a53-0f6d7b2f4d49")

PLAIN = "alembic_version"


def insert(tables: JournalTables, *, where: str = "true", also: str = "") -> TextClause:
    """Adds one row while `where` holds and gives its transaction id.

    `also` are expressions evaluated with it, for what would otherwise be a round trip of its own.
    """
    # Safe to paste: the names were checked and quoted when JournalTables was made, the rest is our own text.
    return text(f"""
        INSERT INTO {tables.journal} (event_id, operation_id, version_table, attempt, revision, kind, xid, detail)
        SELECT CAST(:event_id AS uuid), CAST(:operation_id AS text), CAST(:version_table AS text),
               CAST(:attempt AS integer), CAST(:revision AS text), CAST(:kind AS text),
               CASE WHEN CAST(:revision AS text) IS NOT NULL THEN CAST(pg_current_xact_id() AS text) END,
               CAST(:detail AS jsonb)
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


@dataclass(frozen=True)
class Attempt:
    """One try at one operation; who asked, and by which way in, stands in every row it writes."""

    operation_id: str
    number: int
    actor: str
    way_in: str  # endpoint | start-up | by hand
    request_id: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    version_table: str = PLAIN  # of which history it is, where a database has several
    turn: int = 1  # counts how often an env.py configured this history

    def event_id(self, revision: str | None, kind: str) -> UUID:
        """The same for the same thing, so that repeating a write cannot double a record."""
        parts = [self.operation_id, str(self.number), revision or "", kind]
        if (self.version_table, self.turn) != (PLAIN, 1):
            parts += [self.version_table, str(self.turn)]
        return uuid5(NAMESPACE, "\0".join(parts))

    def detail(self, **more: Any) -> dict[str, Any]:
        base = {"actor": self.actor, "way_in": self.way_in, "request_id": self.request_id, **self.facts, **more}
        return {key: value for key, value in base.items() if value is not None}


def write(
    connection: Connection,
    attempt: Attempt,
    kind: str,
    statement: TextClause,
    *,
    revision: str | None = None,
    key: dict[str, int] | None = None,
    **detail: Any,
) -> Any:
    """Adds one row to the transaction the connection is in and gives it; None where the statement's condition fails.

    A fenced statement needs the lock's `key`.
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
            **(key or {}),
        },
    ).first()
