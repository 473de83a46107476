"""What a service does about its database when it starts, and whether it may take traffic."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from uuid import uuid4

from migration_sidecar.config.settings import OnStartup, Settings
from migration_sidecar.contract.errors import ProblemError
from migration_sidecar.contract.messages import (
    AuditBacklog,
    DatabaseState,
    Operation,
    OperationRequest,
    OperationState,
    ServiceStatus,
)
from migration_sidecar.database.load_deadline import UNLIMITED, LoadDeadline
from migration_sidecar.engine.operations.queue import OperationQueue
from migration_sidecar.engine.planning.reader import StatusReader
from migration_sidecar.protocol.origin import Origin

log = logging.getLogger(__name__)

RECHECK_SECONDS = 0.5
WATCH_SECONDS = 2.0
WATCH_AT_HEAD_SECONDS = 5.0
UNDETERMINED_STATES = {DatabaseState.UNREACHABLE, DatabaseState.UNKNOWN}
MIGRATABLE = {DatabaseState.BEHIND, DatabaseState.EMPTY, DatabaseState.MIGRATING}


class Startup:
    """Migrates in the background according to MIGRATE_ON_STARTUP; the port is open all the while."""

    def __init__(
        self,
        settings: Settings,
        reader: StatusReader,
        operations: OperationQueue,
        expect: Callable[[ServiceStatus], None],
    ) -> None:
        self._settings = settings
        self._reader = reader
        self._operations = operations
        self._expect = expect  # told while somebody is to migrate this database
        self._own: set[str] = set()  # operations that this start began
        self._tried: list[str] | None = None  # the heads that the last of them was to reach
        self._going_on: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Takes up unfinished operations, then migrates if that is the policy; waits for a database that is away.

        Returns when something is under way. Another look is due when that has ended, however it ended: `close` it.
        """
        underway = await self._check([])
        if underway is not None:
            self._going_on = asyncio.create_task(self._continue(underway))

    async def close(self) -> None:
        if self._going_on is not None:
            self._going_on.cancel()
            await asyncio.gather(self._going_on, return_exceptions=True)

    async def _continue(self, underway: list[str] | None) -> None:
        try:
            while underway is not None:
                if not underway:
                    await asyncio.sleep(RECHECK_SECONDS)
                underway = await self._check(underway)
        except Exception:
            log.exception("start_up_failed", extra={"service": self._settings.service})

    async def _check(self, before: list[str]) -> list[str] | None:
        """The operations that are under way when those before have ended; None when nothing is left to do."""
        pause = 0.5
        while True:
            try:
                return await self._next(before)
            except ProblemError as error:
                log.warning("start_up_waits", extra={"service": self._settings.service, "code": error.problem.code})
                if not error.problem.retryable and error.problem.code not in ("CM-511",):
                    return None  # readiness keeps telling why
                await asyncio.sleep(pause)
                pause = min(pause * 2, 10.0)

    async def _next(self, before: list[str]) -> list[str] | None:
        for operation_id in before:
            if self._is_final(await self._operations.ended(operation_id)):
                return None
        unfinished = await self._operations.resume()
        if self._settings.on_startup is not OnStartup.APPLY:
            return None
        # What is unfinished may bring the database to head, and two operations of one wish would tell two stories.
        return unfinished or await self._migrate()

    def _is_final(self, ended: Operation) -> bool:
        """A person is asked, or this start has had its try; how others ended decides nothing."""
        if ended.state is OperationState.NEEDS_ATTENTION:
            return True
        return ended.operation_id in self._own and ended.state is not OperationState.SUCCEEDED

    async def _migrate(self) -> list[str] | None:
        status = await self._reader.status()
        if status.state in UNDETERMINED_STATES and status.error is not None:
            raise ProblemError.of(status.error)
        # Behind what it was brought to, it was taken back by somebody; behind other heads, files have come.
        is_done = status.head_revisions == self._tried
        if status.state not in MIGRATABLE or _needs_attention(status) or is_done:
            log.info("start_up_done", extra={"service": self._settings.service, "state": status.state})
            return None
        request = OperationRequest(operation_id=f"start-up-{uuid4()}", target="heads", requested_by="start-up")
        begun = await self._operations.accept_alone(request, way_in=Origin.START_UP)
        if begun is None:  # another replica is first, or has just been
            return [] if status.pending or status.state is DatabaseState.MIGRATING else None
        self._tried = status.head_revisions
        self._own.add(begun.operation_id)
        return [begun.operation_id]

    async def watch(self) -> None:
        """For as long as a service runs that leaves migrating to others: gets ready whenever there is something to do.

        New files or a database put back make it behind again, so this does not end at head.
        """
        while self._settings.on_startup is OnStartup.CHECK:
            status = await self._reader.status()
            self._expect(status)
            at_head = status.state is DatabaseState.AT_HEAD
            await asyncio.sleep(WATCH_AT_HEAD_SECONDS if at_head else WATCH_SECONDS)

    async def readiness(self, loading: LoadDeadline = UNLIMITED) -> tuple[bool, str]:
        """Whether the service may take traffic, and in words why or why not; asked anew each time."""
        status = await self._reader.status(loading)
        is_ready, reason = self._judged(status)
        return is_ready, reason + _backlog_remark(status.audit_backlog)

    def _judged(self, status: ServiceStatus) -> tuple[bool, str]:
        if status.state is DatabaseState.AT_HEAD:
            return True, "The database is at head."
        if self._settings.on_startup is OnStartup.OFF and status.state is not DatabaseState.UNREACHABLE:
            return True, "The database is not checked (MIGRATE_ON_STARTUP=off)."
        if status.error is not None and not _needs_attention(status):
            return False, f"{status.error.full_detail} {status.error.next_step}"
        if status.state is DatabaseState.MIGRATING or _is_under_way(status):
            return False, f"The database is being migrated.{_waits(status)}"
        if status.last_outcome is not None and status.last_outcome.error is not None:
            error, state = status.last_outcome.error, status.last_outcome.state
            return False, f"The last migration ended as {state}: {error.full_detail} {error.next_step}"
        behind = f"{len(status.pending)} revision{'' if len(status.pending) == 1 else 's'} behind"
        return False, f"The database is {behind}; somebody has to migrate it."


def _backlog_remark(backlog: AuditBacklog | None) -> str:
    """What does not keep a service from its traffic, but should not go unseen."""
    if backlog is None:
        return ""
    return f" {backlog.events} events have been waiting for the audit since {backlog.since:%Y-%m-%dT%H:%M:%SZ}."


def _is_under_way(status: ServiceStatus) -> bool:
    """It may be between two attempts, and then nobody holds the lock."""
    return status.last_outcome is not None and not status.last_outcome.state.ended


def _waits(status: ServiceStatus) -> str:
    last = status.last_outcome
    return f" {last.waiting_for}" if last is not None and last.waiting_for else ""


def _needs_attention(status: ServiceStatus) -> bool:
    # A person was asked to look; trying again by ourselves could do harm.
    last = status.last_outcome
    return last is not None and last.state is OperationState.NEEDS_ATTENTION
