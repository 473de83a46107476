"""Reads and writes the stored operations, and reads the journal, in the service's own database."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from asyncpg import UndefinedTableError
from pydantic import ValidationError

from migration_sidecar.contract.messages import AuditBacklog, Message, Operation, OperationRequest
from migration_sidecar.database.journal_columns import DETAIL, LONGEST_WORD, MOMENT, WHEN, word
from migration_sidecar.database.journal_row import JournalRow
from migration_sidecar.protocol.attempt import Attempt
from migration_sidecar.protocol.journal_schema import (
    AGREED,
    HISTORY,
    JournalTables,
    create,
    history_name,
)
from migration_sidecar.protocol.version_table import VersionTable

if TYPE_CHECKING:
    from asyncpg import Connection
    from asyncpg.pool import PoolConnectionProxy

    AnyConnection: TypeAlias = Connection | PoolConnectionProxy

log = logging.getLogger(__name__)

ON_ITS_WAY_SECONDS = 10.0  # a row younger than this is no backlog: the relay is about to send it

Stored = TypeVar("Stored", bound=Message)


@dataclass(frozen=True)
class Records:
    """The operations and the journal of one history. Other histories of the same database have their own."""

    tables: JournalTables
    version_table: VersionTable

    @property
    def history(self) -> str:
        """The value of the column `version_table` in all rows of this history."""
        return history_name(self.version_table.name, self.version_table.schema)

    async def prepare(self, connection: AnyConnection) -> None:
        """Creates missing tables and updates those of an older release. Several replicas may call it at once."""
        if not await self._are_there(connection):
            await connection.execute(create(self.tables))

    async def insert_operation(
        self,
        connection: AnyConnection,
        request: OperationRequest,
        digest: str,
        record: Operation,
        agreed: Message | None = None,
    ) -> str | None:
        """Stores an operation unless its id is known. Returns the stored body digest, None for another history's id."""
        # DO UPDATE, because DO NOTHING returns no row, and a SELECT in the same statement does not see new commits.
        (row,) = await connection.fetch(
            f"""INSERT INTO {self.tables.operations} AS known
                  (operation_id, version_table, body_digest, request, state, record, {AGREED})
                VALUES ($1, $2, $3, $4::jsonb, $5, $6::jsonb, $7::jsonb)
                ON CONFLICT (operation_id) DO UPDATE SET body_digest = known.body_digest
                RETURNING body_digest, version_table""",  # noqa: S608 - quoted
            request.operation_id,
            self.history,
            digest,
            request.model_dump_json(),
            record.state,
            record.model_dump_json(),
            agreed.model_dump_json() if agreed is not None else None,
        )
        stored: str | None = row["body_digest"] if row["version_table"] == self.history else None
        return stored

    async def update_operation(self, connection: AnyConnection, record: Operation) -> None:
        """Replaces the stored record and its state."""
        await connection.execute(
            f"UPDATE {self.tables.operations} SET state = $2, record = $3::jsonb WHERE operation_id = $1",  # noqa: S608
            record.operation_id,
            record.state,
            record.model_dump_json(),
        )

    async def find_operation(self, connection: AnyConnection, operation_id: str) -> tuple[str, Operation] | None:
        """The body digest and the record of an operation, None if it is unknown."""
        query = f"""SELECT body_digest, record FROM {self.tables.operations}
                    WHERE operation_id = $1 AND {HISTORY} = $2"""  # noqa: S608 - quoted
        try:
            rows = await connection.fetch(query, operation_id, self.history)
        except UndefinedTableError:  # reading creates no tables in a database that was never migrated
            return None
        return (rows[0]["body_digest"], Operation.model_validate_json(rows[0]["record"])) if rows else None

    async def last_operation(self, connection: AnyConnection) -> Operation | None:
        """The operation that was accepted last, None if there is none or it cannot be read."""
        query = f"""SELECT record FROM {self.tables.operations} WHERE {HISTORY} = $1
                    ORDER BY accepted_at DESC LIMIT 1"""  # noqa: S608 - quoted
        rows = await connection.fetch(query, self.history)
        records = [_parse_stored(row["record"], Operation) for row in rows]
        return records[0] if records else None

    async def open_operations(self, connection: AnyConnection) -> list[tuple[OperationRequest, Operation]]:
        """Operations that have not ended, oldest first; at start-up those that the last process left."""
        if await _is_absent(connection, self.tables.operations):
            return []
        query = f"""SELECT request, record FROM {self.tables.operations}
                    WHERE {HISTORY} = $1 AND state IN ('accepted', 'running', 'cancelling') ORDER BY accepted_at"""  # noqa: S608
        rows = await connection.fetch(query, self.history)
        if rows:
            await self.prepare(connection)  # the caller goes on with them and so writes
        both = [
            (_parse_stored(row["request"], OperationRequest), _parse_stored(row["record"], Operation)) for row in rows
        ]
        return [(request, record) for request, record in both if request is not None and record is not None]

    async def read_journal(self, connection: AnyConnection, operation_id: str) -> list[JournalRow]:
        """All rows of one operation in the order of writing. They may be of several histories."""
        rows = await connection.fetch(
            f"""SELECT attempt, revision, kind, {MOMENT} AS at, detail, version_table,
                  extract(epoch FROM clock_timestamp() - {MOMENT})::float AS seconds_ago FROM {self.tables.journal}
                WHERE operation_id = $1 ORDER BY seq""",  # noqa: S608 - quoted
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

    async def session_is_gone(self, connection: AnyConnection, operation_id: str, attempt: int) -> bool:
        """Whether every session that wrote a row of the attempt has ended; False when there is no such row."""
        gone: bool | None = await connection.fetchval(
            # Pids are used again: a session that began after the row is another one.
            f"""SELECT bool_and(NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = (j.detail->>'pid')::int
                                            AND coalesce(a.backend_start <= j.at, true)))
                FROM {self.tables.journal} j
                WHERE j.operation_id = $1 AND j.attempt = $2 AND j.kind = 'attempt' AND j.detail ? 'pid'""",  # noqa: S608
            operation_id,
            attempt,
        )
        return bool(gone)

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
        if await _is_absent(connection, self.tables.journal):
            return []
        query = f"""SELECT seq, event_id, {word("operation_id")}, attempt, {word("revision")}, kind,
                      {WHEN} AS at, {DETAIL}
                    FROM {self.tables.journal} WHERE relayed_at IS NULL AND seq <> ALL ($2::bigint[])
                    ORDER BY seq LIMIT $1"""  # noqa: S608 - quoted
        return list(await connection.fetch(query, limit, aside))

    async def backlog(self, connection: AnyConnection) -> AuditBacklog | None:
        """How many rows the audit lacks, and since when. None if none has waited longer than ON_ITS_WAY_SECONDS."""
        if await _is_absent(connection, self.tables.journal):
            return None
        # A row without a readable time needs a person, and counts as waiting since 1970.
        query = f"""SELECT count(*) AS events, min(coalesce({WHEN}, to_timestamp(0))) AS since
                    FROM {self.tables.journal} WHERE relayed_at IS NULL AND kind <> 'started'
                    HAVING min(coalesce({WHEN}, to_timestamp(0))) < clock_timestamp() - $1 * interval '1 second'"""  # noqa: S608 - quoted
        row = await connection.fetchrow(query, ON_ITS_WAY_SECONDS)
        return AuditBacklog(events=row["events"], since=row["since"]) if row is not None else None

    async def journal_page(self, connection: AnyConnection, after: int, limit: int) -> list[Any]:
        """Rows of all histories after number `after`, in order, with the states of their operations."""
        if await _is_absent(connection, self.tables.journal):
            return []
        query = f"""SELECT seq, event_id, {word("operation_id")},
                      left({HISTORY}, {LONGEST_WORD}) AS history,
                      attempt, {word("revision")}, kind, {WHEN} AS at, {DETAIL},
                      (SELECT o.state FROM {self.tables.operations} o WHERE o.operation_id = j.operation_id)
                        AS operation_state,
                      relayed_at IS NOT NULL AS relayed,
                      greatest(0, extract(epoch FROM clock_timestamp() - {MOMENT}))::float AS seconds_ago
                    FROM {self.tables.journal} j WHERE seq > $1 ORDER BY seq LIMIT $2"""  # noqa: S608 - quoted
        return list(await connection.fetch(query, after, limit))

    async def versions(self, connection: AnyConnection) -> list[str]:
        """The rows of the version table; empty if there is none, or if a table of this name is no version table."""
        number = await connection.fetchval("SELECT to_regclass($1)::oid", self.version_table.qualified)
        if number is None:
            return []
        table = self.version_table.found_as(number)
        rows = await connection.fetch(f"SELECT to_jsonb(v) ->> 'version_num' AS revision FROM {table} v")  # noqa: S608
        return sorted(row["revision"] for row in rows if row["revision"] is not None)

    async def relayed(self, connection: AnyConnection, numbers: list[int]) -> None:
        """Notes that the audit has these rows."""
        update = f"UPDATE {self.tables.journal} SET relayed_at = clock_timestamp()"  # noqa: S608 - quoted
        await connection.execute(f"{update} WHERE seq = ANY($1::bigint[])", numbers)

    async def _are_there(self, connection: AnyConnection) -> bool:
        exist: bool = await connection.fetchval(
            """SELECT EXISTS (
                 SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = $3
                 WHERE n.nspname = $1 AND c.relname = $2)""",
            self.tables.schema,
            self.tables.operations_name,
            AGREED,  # the newest column
        )
        return exist


def _parse_stored(text: str, kind: type[Stored]) -> Stored | None:
    """None for a record that is not valid, for example one written by hand; the others must stay readable."""
    try:
        return kind.model_validate_json(text)
    except ValidationError:
        log.warning("stored_operation_not_understood", extra={"kind": kind.__name__})
        return None


async def _is_absent(connection: AnyConnection, table: str) -> bool:
    # Asked often: a query that fails would fill the server's log with errors.
    return bool(await connection.fetchval("SELECT to_regclass($1) IS NULL", table))
