"""The journal of migrations in the service's own database, as the service reads it and ends attempts in it."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from migration_sidecar.contract.messages import AuditBacklog
from migration_sidecar.database.journal_columns import DETAIL, MAX_TEXT_BYTES, MOMENT, WHEN, word
from migration_sidecar.protocol.attempt import Attempt, session_name
from migration_sidecar.protocol.journal_schema import HISTORY, PLAIN, JournalTables

if TYPE_CHECKING:
    from migration_sidecar.database.connect import AnyConnection

BACKLOG_AGE_SECONDS = 10.0  # younger rows are on their way to the audit and do not count as backlog


@dataclass(frozen=True)
class JournalRow:
    """One row of the journal, from which the result of an attempt is decided."""

    attempt: int
    revision: str | None
    kind: str
    at: datetime
    detail: dict[str, Any]
    version_table: str = PLAIN


@dataclass(frozen=True)
class JournalTable:
    """The journal table, and the history for queries about one history only."""

    tables: JournalTables
    history: str

    async def read(self, connection: AnyConnection, operation_id: str) -> list[JournalRow]:
        """All rows of one operation in the order of writing. They may be of several histories."""
        rows = await connection.fetch(
            f"""SELECT attempt, revision, kind, {MOMENT} AS at, detail, version_table
                FROM {self.tables.journal} WHERE operation_id = $1 ORDER BY seq""",  # noqa: S608 - quoted
            operation_id,
        )
        return [JournalRow(**{**dict(row), "detail": json.loads(row["detail"])}) for row in rows]

    async def append(self, connection: AnyConnection, attempt: Attempt, kind: str, **detail: Any) -> None:
        """Writes how an attempt ended, in a transaction of its own. A repeated call changes nothing."""
        await connection.execute(
            f"""INSERT INTO {self.tables.journal}
                  (event_id, operation_id, version_table, attempt, revision, kind, detail)
                VALUES ($1, $2, $3, $4, NULL, $5, $6::jsonb) ON CONFLICT DO NOTHING""",  # noqa: S608 - quoted
            attempt.event_id(None, kind),
            attempt.operation_id,
            attempt.version_table,
            attempt.number,
            kind,
            json.dumps(attempt.detail(**detail)),
        )

    async def live_sessions(
        self, connection: AnyConnection, operation_id: str, attempt: int, reported: Collection[int] | None = None
    ) -> list[int] | None:
        """Pids of the attempt's sessions that have not ended: of those that wrote a row, and of those `reported`.

        None if nothing is reported and there is no row: a session may not have written it yet.
        """
        name = session_name(operation_id)
        (row,) = await connection.fetch(
            # Pids are used again: a session that began after the row is another one. Every role sees pids and names.
            f"""WITH wrote AS (SELECT (detail->>'pid')::int AS pid, at FROM {self.tables.journal}
                               WHERE operation_id = $1 AND attempt = $2 AND kind = 'attempt' AND detail ? 'pid')
                SELECT EXISTS (SELECT FROM wrote) AS has_row, coalesce(array_agg(a.pid), '{{}}') AS live
                FROM pg_stat_activity a
                WHERE a.pid = ANY($3::int[]) OR (a.datname = current_database() AND a.application_name = $4)
                   OR EXISTS (SELECT FROM wrote w
                              WHERE w.pid = a.pid AND coalesce(a.backend_start <= w.at, true))""",  # noqa: S608
            operation_id,
            attempt,
            list(reported or ()),
            name if name.endswith(operation_id) else None,  # a name that was cut may be another operation's, too
        )
        return list(row["live"]) if row["has_row"] or reported is not None else None

    async def recorded_revisions(self, connection: AnyConnection, revisions: list[str]) -> set[str]:
        """The revisions among these that the journal shows as applied, reverted or stamped."""
        rows = await connection.fetch(
            f"""SELECT DISTINCT revision FROM {self.tables.journal}
                WHERE version_table = $1 AND revision = ANY($2::text[])
                  AND kind IN ('applied', 'reverted', 'stamped')""",  # noqa: S608 - quoted
            self.history,
            revisions,
        )
        return {row["revision"] for row in rows}

    async def unrelayed(self, connection: AnyConnection, limit: int, aside: list[int]) -> list[Any]:
        """Rows of all histories that the audit does not have yet, in order, without the numbers in `aside`."""
        if await is_absent(connection, self.tables.journal):
            return []
        query = f"""SELECT seq, event_id, {word("operation_id")}, attempt, {word("revision")}, kind,
                      {WHEN} AS at, {DETAIL}
                    FROM {self.tables.journal} WHERE relayed_at IS NULL AND seq <> ALL ($2::bigint[])
                    ORDER BY seq LIMIT $1"""  # noqa: S608 - quoted
        return list(await connection.fetch(query, limit, aside))

    async def backlog(self, connection: AnyConnection) -> AuditBacklog | None:
        """How many rows the audit lacks, and since when. None if none has waited longer than ON_ITS_WAY_SECONDS."""
        if await is_absent(connection, self.tables.journal):
            return None
        # A row without a readable time needs a person, and counts as waiting since 1970.
        query = f"""SELECT count(*) AS events, min(coalesce({WHEN}, to_timestamp(0))) AS since
                    FROM {self.tables.journal} WHERE relayed_at IS NULL AND kind <> 'started'
                    HAVING min(coalesce({WHEN}, to_timestamp(0))) < clock_timestamp() - $1 * interval '1 second'"""  # noqa: S608 - quoted
        row = await connection.fetchrow(query, BACKLOG_AGE_SECONDS)
        return AuditBacklog(events=row["events"], since=row["since"]) if row is not None else None

    async def page(self, connection: AnyConnection, after: int, limit: int) -> list[Any]:
        """Rows of all histories after number `after`, in order, with the states of their operations."""
        if await is_absent(connection, self.tables.journal):
            return []
        query = f"""SELECT seq, event_id, {word("operation_id")},
                      left({HISTORY}, {MAX_TEXT_BYTES}) AS history,
                      attempt, {word("revision")}, kind, {WHEN} AS at, {DETAIL},
                      (SELECT o.state FROM {self.tables.operations} o WHERE o.operation_id = j.operation_id)
                        AS operation_state,
                      relayed_at IS NOT NULL AS relayed,
                      greatest(0, extract(epoch FROM clock_timestamp() - {MOMENT}))::float AS seconds_ago
                    FROM {self.tables.journal} j WHERE seq > $1 ORDER BY seq LIMIT $2"""  # noqa: S608 - quoted
        return list(await connection.fetch(query, after, limit))

    async def mark_relayed(self, connection: AnyConnection, numbers: list[int]) -> None:
        """Notes that the audit has these rows."""
        update = f"UPDATE {self.tables.journal} SET relayed_at = clock_timestamp()"  # noqa: S608 - quoted
        await connection.execute(f"{update} WHERE seq = ANY($1::bigint[])", numbers)


async def is_absent(connection: AnyConnection, table: str) -> bool:
    """Whether no table of this name exists. Asked often: a query that fails would fill the server's log with errors."""
    return bool(await connection.fetchval("SELECT to_regclass($1) IS NULL", table))
