"""Watches an operation while it is driven: who is in its way, whether somebody wants it ended, how far it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from asyncpg import PostgresError

from migration_sidecar.alembic_environment.target_database import TargetDatabase
from migration_sidecar.contract.errors import ProblemError
from migration_sidecar.database.pool import DatabasePool
from migration_sidecar.engine.operations.execution import OperationExecution

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection, MigrationRecords

POLL_SECONDS = 0.5  # well below lock_timeout, so that a wait is seen while it lasts

# A prepared transaction has no session: pg_blocking_pids gives 0 for it.
_POLL = """
SELECT o.state = 'cancelling' AS cancelled, blocker.pid, a.application_name AS application, a.xact_start AS since,
       (SELECT l.relation::regclass::text FROM pg_locks l
        WHERE l.pid = $2 AND NOT l.granted AND l.relation IS NOT NULL LIMIT 1) AS wanted
FROM {operations} o
LEFT JOIN LATERAL unnest(pg_blocking_pids($2::int)) AS blocker(pid) ON true
LEFT JOIN pg_stat_activity a ON a.pid = blocker.pid
WHERE o.operation_id = $1
"""


@dataclass(frozen=True)
class WatchResult:
    """One look at an operation under way; `in_the_way` names what it waits for and who holds that."""

    cancelled: bool
    blocked_by: str | None


@asynccontextmanager
async def monitored(run: OperationExecution, place: TargetDatabase, database: DatabasePool) -> AsyncIterator[None]:
    """Until the block is left: another replica may be asked to cancel, and those that only watch want to know."""
    looking = asyncio.create_task(_poll_until_cancelled(run, place, database))
    try:
        yield
    finally:
        looking.cancel()


async def _poll_until_cancelled(run: OperationExecution, place: TargetDatabase, database: DatabasePool) -> None:
    saved = run.record
    while True:
        await asyncio.sleep(POLL_SECONDS)
        # Whatever kept one look from being answered: the wish to cancel is still there at the next.
        with suppress(ProblemError, PostgresError):
            records = await place.records()
            async with database.connection() as connection:
                seen = await poll(connection, records, run.request.operation_id, run.session)
            if run.session is not None:
                run.set_waiting_for(seen.blocked_by)
            if seen.cancelled:
                run.cancelled.set()
            if (record := run.record) is not saved:
                async with database.connection() as connection:
                    await records.operations.save_progress(connection, record)
                saved = record


async def poll(
    connection: AnyConnection, records: MigrationRecords, operation_id: str, session: int | None
) -> WatchResult:
    """`session` is the server process that migrates, where it is known."""
    rows = await connection.fetch(_POLL.format(operations=records.tables.operations), operation_id, session)
    names = [describe_backend(row["pid"], row["application"], row["since"]) for row in rows if row["pid"] is not None]
    wanted = f"table {rows[0]['wanted']}" if names and rows[0]["wanted"] else "a lock"
    return WatchResult(
        cancelled=any(row["cancelled"] for row in rows),
        blocked_by=f"waits for {wanted}, held by {' and '.join(dict.fromkeys(names))}" if names else None,
    )


def describe_backend(pid: int, application: str | None, since: datetime | None) -> str:
    """A session in words, which stay the same while it is the same transaction; `since` is hidden from some roles."""
    if pid == 0:
        return "a prepared transaction"
    facts = [application or "no application name", *([f"since {since:%Y-%m-%d %H:%M:%S} UTC"] if since else [])]
    return f"pid {pid} ({', '.join(facts)})"
