"""Waits until an attempt has no more effect, after its process or its connection was lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from asyncpg import InsufficientPrivilegeError

from migration_sidecar.contract.errors import LockBusy
from migration_sidecar.database.facts import read_facts
from migration_sidecar.engine.operations.execution import OperationExecution
from migration_sidecar.protocol.attempt import session_name
from migration_sidecar.protocol.lock_key import lock_key

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection, MigrationRecords

SESSION_END_SECONDS = 60.0  # the guards of an abandoned session end it within seconds
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class UnclearEnd:
    """The end of an attempt that may still have an effect.

    `sessions` are the pids of all its server processes, as its own process reported them before it ended. They are None
    for an attempt of another service process, whose worker may be alive, and if not every report was read.
    `is_abandoned` says that its process did not say how it ended; otherwise a COMMIT may be under way, and is awaited.
    """

    attempt: int
    sessions: frozenset[int] | None = None
    is_abandoned: bool = True


@asynccontextmanager
async def without_further_effect(
    connection: AnyConnection, tables: list[MigrationRecords], execution: OperationExecution, unclear: UnclearEnd
) -> AsyncIterator[None]:
    """In the block the attempt has no more effect: we hold the lock, or its sessions are gone. Raises LockBusy.

    Who else holds the lock does not matter then. Another process's attempt may go on until the operation's deadline.
    """
    held, patience = [], _Patience(execution, may_go_on=unclear.sessions is None)
    operation_id = execution.request.operation_id
    try:
        for records in tables:
            key = lock_key(records.version_table.name, records.version_table.schema)
            while not await connection.fetchval("SELECT pg_try_advisory_lock($1::int, $2::int)", *key.values()):
                live = await records.journal.live_sessions(connection, operation_id, unclear.attempt, unclear.sessions)
                if live == []:
                    break
                if patience.is_over:
                    raise LockBusy((await read_facts(connection, records)).lock_holder)
                if patience.goes_on:
                    execution.update(waiting_for=_still_at_work(unclear.attempt, live))
                elif live and unclear.is_abandoned:
                    await end_sessions(connection, operation_id, live)
                await asyncio.sleep(POLL_SECONDS)
            else:
                held.append(key)
        yield
    finally:
        for key in held:
            await connection.fetchval("SELECT pg_advisory_unlock($1::int, $2::int)", *key.values())


def _still_at_work(attempt: int, sessions: list[int] | None) -> str:
    who = f", as pid {' and '.join(map(str, sessions))}" if sessions else ""
    return f"Attempt {attempt} of another process is still at work{who}."


class _Patience:
    """How long the sessions of an attempt are waited for."""

    def __init__(self, execution: OperationExecution, *, may_go_on: bool) -> None:
        self._execution = execution
        self._may_go_on = may_go_on
        self._until = monotonic() + SESSION_END_SECONDS

    @property
    def goes_on(self) -> bool:
        """Whether the attempt may still be at work and is left to it."""
        return self._may_go_on and not self._execution.cancelled.is_set() and bool(self._execution.seconds_left)

    @property
    def is_over(self) -> bool:
        """Whether the sessions had SESSION_END_SECONDS to end since they were to end."""
        if self.goes_on:
            self._until = monotonic() + SESSION_END_SECONDS
        return monotonic() > self._until


async def end_sessions(connection: AnyConnection, operation_id: str, pids: Collection[int]) -> None:
    """Ends sessions of a killed process, so that their lock is free at once. Some roles may not do that."""
    with suppress(InsufficientPrivilegeError):
        await connection.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE pid = ANY($1::int[]) AND datname = current_database() AND application_name = $2""",
            list(pids),
            session_name(operation_id),
        )
