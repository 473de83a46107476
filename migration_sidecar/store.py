"""The SQL the service itself runs: version rows, lock holder, journal, stored operations."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from asyncpg import UndefinedTableError

from migration_sidecar.child import journal
from migration_sidecar.child.lock import lock_key
from migration_sidecar.messages import LockHolder, Operation, OperationRequest
from migration_sidecar.settings import VersionTable

if TYPE_CHECKING:
    from asyncpg import Connection
    from asyncpg.pool import PoolConnectionProxy

    AnyConnection: TypeAlias = Connection | PoolConnectionProxy

_FACTS = """
SELECT to_regclass($1) IS NOT NULL AS has_version_table,
       to_regclass('migration_sidecar.journal') IS NOT NULL AS has_journal,
       pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS read_only,
       has_database_privilege(current_database(), 'CREATE') AS may_create,
       EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE c.relkind IN ('r', 'p')
                 AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'migration_sidecar')
                 AND n.nspname NOT LIKE 'pg\\_%' AND NOT (c.oid = coalesce(to_regclass($1), 0))) AS has_tables,
       holder.pid AS holder_pid, holder.application AS holder_application, holder.since AS holder_since,
       pg_backend_pid() AS backend_pid
FROM (SELECT 1) AS one
LEFT JOIN LATERAL (
  SELECT l.pid, coalesce(a.application_name, '') AS application, a.backend_start AS since
  FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
  WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.classid::bigint = $2 AND l.objid::bigint = ($3::bigint & 4294967295) LIMIT 1
) AS holder ON true
"""


@dataclass(frozen=True)
class DatabaseFacts:
    """What one look at the database tells; `revisions` is what the version table holds, unsorted history aside."""

    revisions: tuple[str, ...]
    has_version_table: bool
    has_journal: bool
    is_ours: bool  # the journal tells of a migration, so unknown revisions come from a newer image
    has_tables: bool
    read_only: bool
    may_create: bool
    pooled: bool  # the session that answered is not the one that was opened
    lock_holder: LockHolder | None


async def read_facts(connection: AnyConnection, table: VersionTable) -> DatabaseFacts:
    key = lock_key(table.name, table.schema)
    (row,) = await connection.fetch(_FACTS, table.qualified, key["class_id"], key["object_id"])
    revisions: list[str] = []
    is_ours = False
    if row["has_version_table"]:
        journaled = "EXISTS (SELECT FROM migration_sidecar.journal)" if row["has_journal"] else "false"
        query = f"SELECT version_num, {journaled} AS is_ours FROM {table.qualified}"  # noqa: S608 - quoted by us
        rows = await connection.fetch(query)
        is_ours = any(each["is_ours"] for each in rows)
        revisions = sorted(str(each["version_num"]) for each in rows)
    holder = None
    if row["holder_pid"] is not None:
        holder = LockHolder(pid=row["holder_pid"], application=row["holder_application"], since=row["holder_since"])
    return DatabaseFacts(
        revisions=tuple(revisions),
        has_version_table=row["has_version_table"],
        has_journal=row["has_journal"],
        is_ours=is_ours,
        has_tables=row["has_tables"],
        read_only=row["read_only"],
        may_create=row["may_create"],
        pooled=row["backend_pid"] != connection.get_server_pid(),
        lock_holder=holder,
    )


async def prepare(connection: AnyConnection) -> None:
    """Makes schema, journal and operations where they are missing; safe to run by many at once."""
    if not await _has_operations(connection):
        await connection.execute(journal.CREATE_SCHEMA)


async def insert_operation(connection: AnyConnection, request: OperationRequest, digest: str, record: Operation) -> str:
    """Stores it unless the id is known; gives the digest that stands under the id afterwards."""
    # DO UPDATE, because DO NOTHING gives no row, and a SELECT beside it does not see one that was committed meanwhile.
    stored: str = await connection.fetchval(
        """INSERT INTO migration_sidecar.operations AS known (operation_id, body_digest, request, state, record)
           VALUES ($1, $2, $3::jsonb, $4, $5::jsonb)
           ON CONFLICT (operation_id) DO UPDATE SET body_digest = known.body_digest RETURNING body_digest""",
        request.operation_id,
        digest,
        request.model_dump_json(),
        record.state,
        record.model_dump_json(),
    )
    return stored


async def update_operation(connection: AnyConnection, record: Operation) -> None:
    await connection.execute(
        "UPDATE migration_sidecar.operations SET state = $2, record = $3::jsonb WHERE operation_id = $1",
        record.operation_id,
        record.state,
        record.model_dump_json(),
    )


async def find_operation(connection: AnyConnection, operation_id: str) -> tuple[str, Operation] | None:
    """The digest of the body it was accepted with, and its record."""
    try:
        row = await connection.fetchrow(
            "SELECT body_digest, record FROM migration_sidecar.operations WHERE operation_id = $1", operation_id
        )
    except UndefinedTableError:  # reading must not make tables in a database that nobody migrates yet
        return None
    return None if row is None else (row["body_digest"], Operation.model_validate_json(row["record"]))


async def claim(connection: AnyConnection, operation_id: str) -> bool:
    """True when this session may drive the operation; given back when the session returns to its pool or dies."""
    claimed: bool = await connection.fetchval("SELECT pg_try_advisory_lock(19786, hashtext($1))", operation_id)
    return claimed


async def _has_operations(connection: AnyConnection) -> bool:
    found: bool = await connection.fetchval("SELECT to_regclass('migration_sidecar.operations') IS NOT NULL")
    return found


async def last_operation(connection: AnyConnection) -> Operation | None:
    row = await connection.fetchval("SELECT record FROM migration_sidecar.operations ORDER BY accepted_at DESC LIMIT 1")
    return None if row is None else Operation.model_validate_json(row)


async def open_operations(connection: AnyConnection) -> list[tuple[OperationRequest, Operation]]:
    """Accepted or running when the service last stopped, oldest first."""
    if not await _has_operations(connection):
        return []
    rows = await connection.fetch(
        """SELECT request, record FROM migration_sidecar.operations
           WHERE state IN ('accepted', 'running') ORDER BY accepted_at"""
    )
    return [
        (OperationRequest.model_validate_json(row["request"]), Operation.model_validate_json(row["record"]))
        for row in rows
    ]


@dataclass(frozen=True)
class JournalRow:
    """One line of the journal; `witness` is what PostgreSQL says of its transaction where that is still known."""

    attempt: int
    revision: str | None
    kind: str
    at: datetime
    detail: dict[str, Any]
    xid: str | None


async def read_journal(connection: AnyConnection, operation_id: str) -> list[JournalRow]:
    """The rows of one operation in the order they were written."""
    rows = await connection.fetch(
        """SELECT attempt, revision, kind, at, detail, xid FROM migration_sidecar.journal
           WHERE operation_id = $1 ORDER BY seq""",
        operation_id,
    )
    return [
        JournalRow(row["attempt"], row["revision"], row["kind"], row["at"], json.loads(row["detail"]), row["xid"])
        for row in rows
    ]


async def append(connection: AnyConnection, attempt: journal.Attempt, kind: str, **detail: Any) -> None:
    """A row in a transaction of its own: how an attempt ended. Repeating it changes nothing."""
    await connection.execute(
        """INSERT INTO migration_sidecar.journal (event_id, operation_id, attempt, revision, kind, detail)
           VALUES ($1, $2, $3, NULL, $4, $5::jsonb) ON CONFLICT DO NOTHING""",
        attempt.event_id(None, kind),
        attempt.operation_id,
        attempt.number,
        kind,
        json.dumps(attempt.detail(**detail)),
    )


async def session_is_gone(connection: AnyConnection, operation_id: str, attempt: int) -> bool:
    """Whether the session that wrote the attempt's row has ended; False when there is no such row to go by."""
    gone: bool | None = await connection.fetchval(
        # A pid is used again: one that began after the row belongs to somebody else.
        """SELECT NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = (j.detail->>'pid')::int
                              AND coalesce(a.backend_start <= j.at, true))
           FROM migration_sidecar.journal j
           WHERE j.operation_id = $1 AND j.attempt = $2 AND j.kind = 'attempt' AND j.detail ? 'pid'""",
        operation_id,
        attempt,
    )
    return bool(gone)


async def invalid_indexes(connection: AnyConnection) -> list[str]:
    """The statements that would remove each INVALID index that nobody is building now."""
    rows = await connection.fetch(
        """SELECT format('DROP INDEX CONCURRENTLY %I.%I', n.nspname, k.relname) AS statement
           FROM pg_index i JOIN pg_class k ON k.oid = i.indexrelid JOIN pg_namespace n ON n.oid = k.relnamespace
           WHERE NOT i.indisvalid AND k.relkind = 'i'
             AND NOT EXISTS (SELECT 1 FROM pg_stat_progress_create_index g WHERE g.index_relid = i.indexrelid)"""
    )
    return [row["statement"] for row in rows]


async def recorded_revisions(connection: AnyConnection, revisions: list[str]) -> set[str]:
    """Those of the given revisions that some operation of ours applied, reverted or stamped."""
    rows = await connection.fetch(
        """SELECT DISTINCT revision FROM migration_sidecar.journal
           WHERE revision = ANY($1::text[]) AND kind IN ('applied', 'reverted', 'stamped')""",
        revisions,
    )
    return {row["revision"] for row in rows}


async def long_transactions(connection: AnyConnection, older_than_seconds: int) -> list[LockHolder]:
    """Other sessions of this database whose transaction is older; DDL may have to wait for them."""
    rows = await connection.fetch(
        """SELECT pid, coalesce(application_name, '') AS application, xact_start AS since FROM pg_stat_activity
           WHERE datname = current_database() AND pid <> pg_backend_pid()
             AND xact_start < clock_timestamp() - make_interval(secs => $1)""",
        older_than_seconds,
    )
    return [LockHolder(pid=row["pid"], application=row["application"], since=row["since"]) for row in rows]
