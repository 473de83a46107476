"""Looks at an operation while it is driven: who is in its way, whether somebody wants it ended, how far it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from asyncpg import PostgresError

from migration_sidecar.alembic_environment.target_database import Place
from migration_sidecar.contract.errors import ProblemError
from migration_sidecar.database.pool import Database
from migration_sidecar.engine.operations.execution import Course
from migration_sidecar.engine.operations.operation_watch import keep_progress, look

LOOK_SECONDS = 0.5  # well below lock_timeout, so that a wait is seen while it lasts


@asynccontextmanager
async def lookout(run: Course, place: Place, database: Database) -> AsyncIterator[None]:
    """Until the block is left: another replica may be asked to cancel, and those that only watch want to know."""
    looking = asyncio.create_task(_look_out(run, place, database))
    try:
        yield
    finally:
        looking.cancel()


async def _look_out(run: Course, place: Place, database: Database) -> None:
    kept = run.record
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        # Whatever kept one look from being answered: the wish to cancel is still there at the next.
        with suppress(ProblemError, PostgresError):
            records = await place.records()
            async with database.connection() as connection:
                seen = await look(connection, records, run.request.operation_id, run.session)
            if run.session is not None:
                run.waits(seen.in_the_way)
            if seen.cancelled:
                run.cancelled.set()
            if (record := run.record) is not kept:
                async with database.connection() as connection:
                    await keep_progress(connection, records, record)
                kept = record
