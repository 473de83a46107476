"""The operations of one history, stored in the database that they migrate."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from asyncpg import UndefinedTableError
from pydantic import ValidationError

from migration_sidecar.contract.errors import IdempotencyConflict
from migration_sidecar.contract.messages import Message, MigrationPlan, Operation, OperationRequest, OperationState
from migration_sidecar.database.journal_columns import MOMENT
from migration_sidecar.database.journal_table import is_absent
from migration_sidecar.protocol.journal_schema import AGREED, HISTORY, JournalTables
from migration_sidecar.protocol.lock_key import OPERATION_CLASS, START_UP_CLASS

if TYPE_CHECKING:
    from migration_sidecar.database.connect import AnyConnection

log = logging.getLogger(__name__)

CANCELLING = "cancelling"  # the value of `state` from the request to cancel until the operation has ended

# A record that is written over a stored one; who has cancelled is known to the replica that was asked, and stays.
_KEPT = "jsonb_strip_nulls(jsonb_build_object('cancelled_by', record -> 'cancelled_by'))"

_TRY_LOCK = "SELECT pg_try_advisory_lock($1, hashtext($2))"

Stored = TypeVar("Stored", bound=Message)


@dataclass(frozen=True)
class StoredOperation:
    """An operation as it is stored, and what the journal tells of the attempts that were made."""

    record: Operation
    cancelled: bool = False  # somebody asked to cancel it
    agreed: str | None = None  # JSON of what it was accepted to do; an older release did not store that
    attempts: int = 0
    began_seconds_ago: float = 0.0  # since the first attempt, by the server's clock; 0 before it

    @property
    def is_untouched(self) -> bool:
        """Whether no attempt was made yet."""
        return self.attempts == 0


@dataclass(frozen=True)
class OperationsTable:
    """The operations of one history. Those of another history in the same database are not seen."""

    tables: JournalTables
    history: str

    async def accept(
        self, connection: AnyConnection, request: OperationRequest, plan: MigrationPlan, agreed: Message
    ) -> Operation:
        """Stores the operation with the agreed plan, and returns its first record. Raises IdempotencyConflict."""
        record = Operation(
            operation_id=request.operation_id,
            service=plan.service,
            database=plan.database,
            action=request.action,
            target=request.target,
            state=OperationState.ACCEPTED,
            from_revisions=plan.from_revisions,
            current_revisions=plan.from_revisions,
            accepted_at=datetime.now(UTC),
        )
        if not await self.insert(connection, request, record, agreed):
            raise IdempotencyConflict(request.operation_id)
        return record

    async def insert(
        self, connection: AnyConnection, request: OperationRequest, record: Operation, agreed: Message | None = None
    ) -> bool:
        """Stores an operation unless its id is known. False if the id belongs to another body or another history."""
        digest = request.digest
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
            request.model_dump_json(exclude=request.newer),
            record.state,
            _as_json(record),
            agreed.model_dump_json(exclude_defaults=True) if agreed is not None else None,
        )
        return bool(row["body_digest"] == digest and row["version_table"] == self.history)

    async def find(self, connection: AnyConnection, operation_id: str) -> Operation | None:
        """The stored record, None if the id is unknown."""
        known = await self._find(connection, operation_id)
        return known[1] if known is not None else None

    async def find_repeated(self, connection: AnyConnection, request: OperationRequest) -> Operation | None:
        """The record of a repeated request, None if the id is unknown. Raises IdempotencyConflict for another body."""
        known = await self._find(connection, request.operation_id)
        if known is None:
            return None
        if known[0] != request.digest:
            raise IdempotencyConflict(request.operation_id)
        return known[1]

    async def _find(self, connection: AnyConnection, operation_id: str) -> tuple[str, Operation] | None:
        query = f"""SELECT body_digest, record FROM {self.tables.operations}
                    WHERE operation_id = $1 AND {HISTORY} = $2"""  # noqa: S608 - quoted
        try:
            rows = await connection.fetch(query, operation_id, self.history)
        except UndefinedTableError:  # reading creates no tables in a database that was never migrated
            return None
        return (rows[0]["body_digest"], Operation.model_validate_json(rows[0]["record"])) if rows else None

    async def last(self, connection: AnyConnection) -> Operation | None:
        """The operation that was accepted last, None if there is none or it cannot be read."""
        query = f"""SELECT record FROM {self.tables.operations} WHERE {HISTORY} = $1
                    ORDER BY accepted_at DESC LIMIT 1"""  # noqa: S608 - quoted
        rows = await connection.fetch(query, self.history)
        return _readable(rows[0]["record"], Operation) if rows else None

    async def unfinished(self, connection: AnyConnection) -> list[tuple[OperationRequest, Operation]]:
        """Operations that have not ended, oldest first; at start-up those that the last process left."""
        if await is_absent(connection, self.tables.operations):
            return []
        query = f"""SELECT request, record FROM {self.tables.operations}
                    WHERE {HISTORY} = $1 AND state IN ('accepted', 'running', 'cancelling') ORDER BY accepted_at"""  # noqa: S608
        rows = await connection.fetch(query, self.history)
        both = [(_readable(row["request"], OperationRequest), _readable(row["record"], Operation)) for row in rows]
        return [(request, record) for request, record in both if request is not None and record is not None]

    async def claim(self, connection: AnyConnection, operation_id: str) -> bool:
        """Whether this session may carry out the operation. Free again when the session returns to its pool or ends."""
        claimed: bool = await connection.fetchval(_TRY_LOCK, OPERATION_CLASS, operation_id)
        return claimed

    async def claim_startup(self, connection: AnyConnection) -> bool:
        """Whether this session may look if a start-up operation is due. Free again in the same way."""
        claimed: bool = await connection.fetchval(_TRY_LOCK, START_UP_CLASS, self.history)
        return claimed

    async def read(self, connection: AnyConnection, operation_id: str) -> StoredOperation | None:
        """The operation and what the journal tells of its attempts, None if the id is unknown."""
        # By way of JSON, because the table of an older release has no such column.
        query = f"""SELECT record, state, to_jsonb(o) ->> '{AGREED}' AS agreed, made.attempts, made.began_seconds_ago
                    FROM {self.tables.operations} o CROSS JOIN LATERAL (
                      SELECT coalesce(max(attempt), 0) AS attempts,
                        coalesce(max(extract(epoch FROM clock_timestamp() - {MOMENT})), 0)::float AS began_seconds_ago
                      FROM {self.tables.journal} WHERE operation_id = $1) AS made
                    WHERE o.operation_id = $1"""  # noqa: S608 - quoted
        row = await connection.fetchrow(query, operation_id)
        if row is None:
            return None
        record, cancelled = Operation.model_validate_json(row["record"]), row["state"] == CANCELLING
        return StoredOperation(record, cancelled, row["agreed"], row["attempts"], row["began_seconds_ago"])

    async def request_cancel(
        self, connection: AnyConnection, operation_id: str, cancelled_by: str | None = None
    ) -> tuple[OperationRequest, Operation] | None:
        """Stores the wish to cancel, for whichever replica runs the operation. An ended one stays as it is."""
        update = f"""UPDATE {self.tables.operations}
                     SET state = CASE WHEN state IN ('accepted', 'running') THEN $3 ELSE state END,
                         record = CASE WHEN state IN ('accepted', 'running') AND $4::text IS NOT NULL
                                       THEN record || jsonb_build_object('cancelled_by', $4::text) ELSE record END
                     WHERE operation_id = (SELECT operation_id FROM {self.tables.operations}
                                           WHERE operation_id = $1 AND {HISTORY} = $2) RETURNING request, record"""  # noqa: S608
        try:
            rows = await connection.fetch(update, operation_id, self.history, CANCELLING, cancelled_by)
        except UndefinedTableError:
            return None
        if not rows:
            return None
        (row,) = rows
        return OperationRequest.model_validate_json(row["request"]), Operation.model_validate_json(row["record"])

    async def save_progress(self, connection: AnyConnection, record: Operation) -> None:
        """Stores progress. An end or a wish to cancel that was stored meanwhile is not overwritten."""
        update = f"""UPDATE {self.tables.operations}
                     SET record = $2::jsonb || {_KEPT}, state = CASE WHEN state = 'accepted' THEN $3 ELSE state END
                     WHERE operation_id = $1 AND state IN ('accepted', 'running', 'cancelling')"""  # noqa: S608 - quoted
        await connection.execute(update, record.operation_id, _as_json(record), record.state)

    async def save(self, connection: AnyConnection, record: Operation) -> None:
        """Replaces the stored record and its state."""
        await connection.execute(
            f"""UPDATE {self.tables.operations} SET state = $2, record = $3::jsonb || {_KEPT}
                WHERE operation_id = $1""",  # noqa: S608 - quoted
            record.operation_id,
            record.state,
            _as_json(record),
        )

    async def canceller(self, connection: AnyConnection, operation_id: str) -> str | None:
        """Who has asked to cancel it, at any replica; None if nobody has, or nobody whose name was proven."""
        query = f"SELECT record ->> 'cancelled_by' FROM {self.tables.operations} WHERE operation_id = $1"  # noqa: S608
        name: str | None = await connection.fetchval(query, operation_id)
        return name


def _as_json(record: Operation) -> str:
    """Release 0.2 refuses a record with a field that it does not know: it is there only where it says something."""
    return record.model_dump_json(exclude=None if record.cancelled_by else {"cancelled_by"})


def _readable(text: str, kind: type[Stored]) -> Stored | None:
    """None for a record that is not valid, for example one written by hand; the others must stay readable."""
    try:
        return kind.model_validate_json(text)
    except ValidationError:
        log.warning("stored_operation_not_understood", extra={"kind": kind.__name__})
        return None
