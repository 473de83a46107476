"""The service's own record of what happened to its database, in a schema of its own, written beside the migration."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from sqlalchemy import TextClause, text

from migration_sidecar.child.lock import HELD_BY_US, fence_lost

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

NAMESPACE = UUID("7d8c7e0e-53c4-5c1b-9a53-0f6d7b2f4d49")

# One statement, because asyncpg prepares what it sends. The lock makes racing replicas wait for each other here:
# CREATE … IF NOT EXISTS alone fails with a unique violation when two run at once.
CREATE_SCHEMA = """
DO $create$ BEGIN
  PERFORM pg_advisory_xact_lock(19785, 0);
  CREATE SCHEMA IF NOT EXISTS migration_sidecar;
  CREATE TABLE IF NOT EXISTS migration_sidecar.journal (
    seq bigint GENERATED ALWAYS AS IDENTITY,
    event_id uuid PRIMARY KEY,
    operation_id text NOT NULL,
    attempt integer NOT NULL,
    revision text,
    kind text NOT NULL CHECK (kind IN ('attempt', 'started', 'nontx_started', 'applied', 'reverted', 'stamped',
                                       'failed', 'refused', 'cancelled', 'resolved')),
    xid text,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    detail jsonb NOT NULL DEFAULT '{}',
    relayed_at timestamptz
  );
  CREATE INDEX IF NOT EXISTS journal_to_relay ON migration_sidecar.journal (seq) WHERE relayed_at IS NULL;
  CREATE INDEX IF NOT EXISTS journal_by_operation ON migration_sidecar.journal (operation_id, seq);
  CREATE TABLE IF NOT EXISTS migration_sidecar.operations (
    operation_id text PRIMARY KEY,
    body_digest text NOT NULL,
    request jsonb NOT NULL,
    state text NOT NULL,
    record jsonb NOT NULL,
    accepted_at timestamptz NOT NULL DEFAULT clock_timestamp()
  );
  CREATE INDEX IF NOT EXISTS operations_by_age ON migration_sidecar.operations (accepted_at);
END $create$
"""


def insert(*, fenced: bool = False, also: str = "") -> TextClause:
    """Adds one row and gives its transaction id; `fenced`: only while this session holds the migration lock.

    `also` are expressions evaluated with it, for what would otherwise be a round trip of its own.
    """
    return text(f"""
        INSERT INTO migration_sidecar.journal (event_id, operation_id, attempt, revision, kind, xid, detail)
        SELECT CAST(:event_id AS uuid), CAST(:operation_id AS text), CAST(:attempt AS integer),
               CAST(:revision AS text), CAST(:kind AS text),
               CASE WHEN CAST(:revision AS text) IS NOT NULL THEN CAST(pg_current_xact_id() AS text) END,
               CAST(:detail AS jsonb)
        {f"WHERE {HELD_BY_US}" if fenced else ""}
        RETURNING xid{f", {also}" if also else ""}""")


INSERT = insert()
INSERT_FENCED = insert(fenced=True)


@dataclass(frozen=True)
class Attempt:
    """One try at one operation; who asked, and by which way in, stands in every row it writes."""

    operation_id: str
    number: int
    actor: str
    way_in: str  # endpoint | start-up | by hand
    request_id: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def event_id(self, revision: str | None, kind: str) -> UUID:
        """The same for the same thing, so that repeating a write cannot double a record."""
        return uuid5(NAMESPACE, "\0".join((self.operation_id, str(self.number), revision or "", kind)))

    def detail(self, **more: Any) -> dict[str, Any]:
        base = {"actor": self.actor, "way_in": self.way_in, "request_id": self.request_id, **self.facts, **more}
        return {key: value for key, value in base.items() if value is not None}


def write(
    connection: Connection,
    attempt: Attempt,
    kind: str,
    *,
    revision: str | None = None,
    statement: TextClause = INSERT,
    key: dict[str, int] | None = None,
    **detail: Any,
) -> str | None:
    """Adds one row to the transaction the connection is in; gives its transaction id where a revision is meant.

    A fenced statement needs the lock's `key` and raises Refusal (CM-406) when this session no longer holds it.
    """
    row = connection.execute(
        statement,
        {
            "event_id": str(attempt.event_id(revision, kind)),
            "operation_id": attempt.operation_id,
            "attempt": attempt.number,
            "revision": revision,
            "kind": kind,
            "detail": json.dumps(attempt.detail(**detail)),
            **(key or {}),
        },
    ).first()
    if row is None:
        raise fence_lost(revision)
    xid: str | None = row[0]
    return xid
