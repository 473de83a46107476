"""Watches an operation while it runs: what blocks it, whether it is to be cancelled, and its progress."""

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

POLL_SECONDS = 0.5  # well below lock_timeout, so that each wait for a lock is noticed

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
    """The answer of one poll. `blocked_by` says what the session waits for and which session holds it."""

    cancelled: bool
    blocked_by: str | None


@asynccontextmanager
async def monitored(
    execution: OperationExecution, target_database: TargetDatabase, database: DatabasePool
) -> AsyncIterator[None]:
    """Polls while the block runs: another replica may be asked to cancel, and stored progress answers its callers."""
    polling = asyncio.create_task(_poll_until_cancelled(execution, target_database, database))
    try:
        yield
    finally:
        polling.cancel()


async def _poll_until_cancelled(
    execution: OperationExecution, target_database: TargetDatabase, database: DatabasePool
) -> None:
    saved = execution.record
    while True:
        await asyncio.sleep(POLL_SECONDS)
        # After any error: a request to cancel is stored, so the next poll reads it.
        with suppress(ProblemError, PostgresError):
            records = await target_database.records()
            async with database.connection() as connection:
                current = await poll(connection, records, execution.request.operation_id, execution.session)
            if execution.session is not None:
                execution.set_waiting_for(current.blocked_by)
            if current.cancelled:
                execution.cancelled.set()
            if (record := execution.record) is not saved:
                async with database.connection() as connection:
                    await records.operations.save_progress(connection, record)
                saved = record


async def poll(
    connection: AnyConnection, records: MigrationRecords, operation_id: str, session: int | None
) -> WatchResult:
    """Reads once. `session` is the pid of the server process that migrates, None if it is not known."""
    rows = await connection.fetch(_POLL.format(operations=records.tables.operations), operation_id, session)
    names = [describe_backend(row["pid"], row["application"], row["since"]) for row in rows if row["pid"] is not None]
    wanted = f"table {rows[0]['wanted']}" if names and rows[0]["wanted"] else "a lock"
    return WatchResult(
        cancelled=any(row["cancelled"] for row in rows),
        blocked_by=f"waits for {wanted}, held by {' and '.join(dict.fromkeys(names))}" if names else None,
    )


def describe_backend(pid: int, application: str | None, since: datetime | None) -> str:
    """Describes a session. The text does not change during one transaction. Some roles may not see `since`."""
    if pid == 0:
        return "a prepared transaction"
    facts = [application or "no application name", *([f"since {since:%Y-%m-%d %H:%M:%S} UTC"] if since else [])]
    return f"pid {pid} ({', '.join(facts)})"
