"""Reads from the database what an attempt did. If its end is unclear, it first waits until that is final."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migration_sidecar.alembic_environment.agreed_revisions import AgreedPlan
from migration_sidecar.alembic_environment.target_database import TargetDatabase
from migration_sidecar.contract.messages import Action, MigrationPlan, Operation
from migration_sidecar.database.facts import invalid_indexes
from migration_sidecar.database.journal_table import JournalRow
from migration_sidecar.database.load_deadline import UNLIMITED, LoadDeadline
from migration_sidecar.database.pool import DatabasePool
from migration_sidecar.engine.operations.execution import OperationExecution
from migration_sidecar.engine.operations.retry import retry_unreachable_database
from migration_sidecar.engine.operations.session_end import UnclearEnd, without_further_effect
from migration_sidecar.engine.operations.verdict import FINISHED, ReadBack, unfinished_revision
from migration_sidecar.engine.planning.reader import StatusReader

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection, MigrationRecords


class ReadBackReader:
    """Reads version rows and journal. If the end of an attempt is unclear, its sessions are waited for first."""

    def __init__(self, database: DatabasePool, reader: StatusReader, target_database: TargetDatabase) -> None:
        self._database = database
        self._reader = reader
        self._target_database = target_database

    @retry_unreachable_database
    async def read(
        self, execution: OperationExecution, *, unclear: UnclearEnd | None = None, loading: LoadDeadline = UNLIMITED
    ) -> ReadBack:
        """Waits for an unreachable server, and for the end of the attempt `unclear`. Raises LockBusy."""
        if execution.agreed is None:  # an older release accepted it
            execution.agreed = await self._reader.agreed(execution.record, loading)
        agreed, record = execution.agreed, execution.record
        # The lock taken below must end with its own session, so this is not the one that claimed the operation.
        async with self._database.connection(
            execution.claim_connection if unclear is None else None, loading
        ) as connection:
            if unclear is not None:
                tables = await self._target_database.all_records()
                async with without_further_effect(connection, tables, execution, unclear):
                    return await self._read_on(connection, record, agreed, loading)
            return await self._read_on(connection, record, agreed, loading)

    async def _read_on(
        self, connection: AnyConnection, record: Operation, agreed: AgreedPlan, loading: LoadDeadline
    ) -> ReadBack:
        tables = await self._target_database.all_records(loading)
        facts = await self._reader.facts(connection, agreed, loading)
        rows = await tables[0].journal.read(connection, record.operation_id) if facts.has_journal else []
        before, now = set(record.from_revisions), set(facts.revisions)
        # An upgrade adds rows to the version table, a downgrade removes them.
        moved = sorted(now - before if record.action is Action.UPGRADE else before - now)
        left, obstacles = await self._reader.read_back(facts, agreed, _finished_revisions(tables, rows), loading)
        return ReadBack(
            revisions=list(facts.revisions),
            rows=rows,
            moved=moved,
            recorded=await _recorded(connection, tables, moved) if moved and facts.has_journal else set(),
            left=left,
            obstacles=obstacles,
            invalid_indexes=await invalid_indexes(connection) if unfinished_revision(rows) else [],
        )


def read_back_from_plan(plan: MigrationPlan) -> ReadBack:
    """The read-back of a database in which the operation has done nothing yet."""
    return ReadBack(
        revisions=plan.from_revisions,
        rows=[],
        moved=[],
        recorded=set(),
        left=len(plan.revisions),
        obstacles=plan.obstacles,
        invalid_indexes=[],
    )


def _finished_revisions(tables: list[MigrationRecords], rows: list[JournalRow]) -> set[str]:
    """By the operation's own rows; empty for several version tables, because a row may not be true for all of them."""
    if len(tables) > 1:
        return set()
    return {row.revision for row in rows if row.kind in FINISHED and row.revision is not None}


async def _recorded(connection: AnyConnection, tables: list[MigrationRecords], revisions: list[str]) -> set[str]:
    """The revisions with a journal row for at least one of the version tables."""
    return set().union(*[await each.journal.recorded_revisions(connection, revisions) for each in tables])
