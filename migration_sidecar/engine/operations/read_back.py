"""Reads back what an attempt did, taking the migration lock first where its end is unclear."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING

from migration_sidecar.alembic_environment.agreed_revisions import Agreed
from migration_sidecar.alembic_environment.target_database import Place
from migration_sidecar.contract.errors import LockBusy
from migration_sidecar.contract.messages import Action, Operation
from migration_sidecar.database.facts import invalid_indexes, read_facts
from migration_sidecar.database.journal_row import JournalRow
from migration_sidecar.database.pool import Database, Kept
from migration_sidecar.engine.operations.retry import patient
from migration_sidecar.engine.operations.verdict import FINISHED, Found, torn
from migration_sidecar.engine.planning.reader import Reader
from migration_sidecar.protocol.lock_key import lock_key

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection

QUIET_SECONDS = 60.0  # an abandoned session ends within seconds by the guards it was opened with


class Truth:
    """The database's own word on one service's migrations."""

    def __init__(self, database: Database, reader: Reader, place: Place) -> None:
        self._database = database
        self._reader = reader
        self._place = place

    @patient
    async def read(
        self,
        record: Operation,
        agreed: Agreed | None = None,
        *,
        unclear: int | None = None,
        kept: Kept | None = None,
    ) -> Found:
        """Waits for a server that is away, and for the session of the attempt `unclear`; may raise LockBusy.

        `agreed` is what the operation was accepted to do, unless an older release did not keep it.
        """
        agreed = agreed or await self.agreed(record)
        # A lock that is taken to wait for a session must go with the session that took it.
        async with self._database.connection(kept if unclear is None else None) as connection:
            if unclear is not None:
                async with self._quiet(connection, record.operation_id, unclear):
                    return await self._found(connection, record, agreed)
            return await self._found(connection, record, agreed)

    async def agreed(self, record: Operation) -> Agreed:
        """What it was accepted to do, where that was not kept."""
        return await self._reader.agreed(record)

    async def end_session(self, pid: int) -> None:
        """Ends the session of a process that was ended, so that its lock is free now and not a second later."""
        async with self._database.connection() as connection:
            await connection.execute(
                """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE pid = $1 AND datname = current_database() AND application_name LIKE 'migration-sidecar:%'""",
                pid,
            )

    async def _found(self, connection: AnyConnection, record: Operation, agreed: Agreed) -> Found:
        records = await self._place.records()
        facts = await self._reader.facts(connection, agreed)
        rows = await records.read_journal(connection, record.operation_id) if facts.has_journal else []
        before, now = set(record.from_revisions), set(facts.revisions)
        # An upgrade is told by what entered the version table, a downgrade by what left it.
        moved = sorted(now - before if record.action is Action.UPGRADE else before - now)
        left, obstacles = await self._reader.outlook(facts, agreed, await self._done(rows))
        return Found(
            revisions=list(facts.revisions),
            rows=rows,
            moved=moved,
            recorded=await self._recorded(connection, moved) if moved and facts.has_journal else set(),
            left=left,
            obstacles=obstacles,
            invalid_indexes=await invalid_indexes(connection) if torn(rows) else [],
        )

    async def _done(self, rows: list[JournalRow]) -> set[str]:
        """What the operation's own rows tell; of several version tables they do not tell it of each."""
        if len(await self._place.all_records()) > 1:
            return set()
        return {row.revision for row in rows if row.kind in FINISHED and row.revision is not None}

    async def _recorded(self, connection: AnyConnection, revisions: list[str]) -> set[str]:
        """In whichever of the version tables that env.py keeps here."""
        tables = await self._place.all_records()
        return set().union(*[await records.recorded_revisions(connection, revisions) for records in tables])

    @asynccontextmanager
    async def _quiet(self, connection: AnyConnection, operation_id: str, attempt: int) -> AsyncIterator[None]:
        """The attempt can have no more effect: the lock is ours, or a stranger's and its own session is gone."""
        deadline, held = monotonic() + QUIET_SECONDS, []
        try:
            for records in await self._place.all_records():
                key = lock_key(records.version_table.name, records.version_table.schema)
                while not await connection.fetchval("SELECT pg_try_advisory_lock($1::int, $2::int)", *key.values()):
                    if await records.session_is_gone(connection, operation_id, attempt):
                        break
                    if monotonic() > deadline:
                        raise LockBusy((await read_facts(connection, records)).lock_holder)
                    await asyncio.sleep(0.1)
                else:
                    held.append(key)
            yield
        finally:
            for key in held:
                await connection.fetchval("SELECT pg_advisory_unlock($1::int, $2::int)", *key.values())
