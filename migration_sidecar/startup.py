"""What a service does about its database when it starts, and whether it may take traffic."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from uuid import uuid4

from migration_sidecar.errors import ProblemError
from migration_sidecar.messages import AuditBacklog, DatabaseState, OperationRequest, OperationState, ServiceStatus
from migration_sidecar.operations import Operations
from migration_sidecar.reading import Reader
from migration_sidecar.settings import OnStartup, Settings

log = logging.getLogger(__name__)

WATCH_SECONDS = 2.0
WATCH_AT_HEAD_SECONDS = 5.0
UNTOLD = {DatabaseState.UNREACHABLE, DatabaseState.UNKNOWN}
MIGRATABLE = {DatabaseState.BEHIND, DatabaseState.EMPTY, DatabaseState.MIGRATING}


class Startup:
    """Migrates in the background according to MIGRATE_ON_STARTUP; the port is open all the while."""

    def __init__(
        self, settings: Settings, reader: Reader, operations: Operations, expect: Callable[[ServiceStatus], None]
    ) -> None:
        self._settings = settings
        self._reader = reader
        self._operations = operations
        self._expect = expect  # told while somebody is to migrate this database

    async def run(self) -> None:
        """Takes up unfinished operations, then migrates if that is the policy; waits for a database that is away."""
        pause = 0.5
        while True:
            try:
                await self._operations.resume()
                if self._settings.on_startup is OnStartup.APPLY:
                    await self._migrate()
                return
            except ProblemError as error:
                log.warning("start_up_waits", extra={"service": self._settings.service, "code": error.problem.code})
                if not error.problem.retryable and error.problem.code not in ("CM-511",):
                    return  # readiness keeps telling why
                await asyncio.sleep(pause)
                pause = min(pause * 2, 10.0)

    async def _migrate(self) -> None:
        status = await self._reader.status()
        if status.state in UNTOLD and status.error is not None:
            raise ProblemError.of(status.error)
        if status.state not in MIGRATABLE or _half_done(status):
            log.info("start_up_done", extra={"service": self._settings.service, "state": status.state})
            return
        request = OperationRequest(operation_id=f"start-up-{uuid4()}", target="heads", requested_by="start-up")
        await self._operations.accept(request, way_in="start-up")

    async def watch(self) -> None:
        """For as long as a service runs that leaves migrating to others: gets ready whenever there is something to do.

        New files or a database put back make it behind again, so this does not end at head.
        """
        while self._settings.on_startup is OnStartup.CHECK:
            status = await self._reader.status()
            self._expect(status)
            at_head = status.state is DatabaseState.AT_HEAD
            await asyncio.sleep(WATCH_AT_HEAD_SECONDS if at_head else WATCH_SECONDS)

    async def readiness(self) -> tuple[bool, str]:
        """Whether the service may take traffic, and in words why or why not; asked anew each time."""
        status = await self._reader.status()
        is_ready, reason = self._judged(status)
        return is_ready, reason + _owed(status.audit_backlog)

    def _judged(self, status: ServiceStatus) -> tuple[bool, str]:
        if status.state is DatabaseState.AT_HEAD:
            return True, "The database is at head."
        if self._settings.on_startup is OnStartup.OFF and status.state is not DatabaseState.UNREACHABLE:
            return True, "The database is not checked (MIGRATE_ON_STARTUP=off)."
        if status.error is not None and not _half_done(status):
            return False, f"{status.error.detail} {status.error.next_step}"
        if status.state is DatabaseState.MIGRATING:
            return False, "The database is being migrated."
        if status.last_outcome is not None and status.last_outcome.error is not None:
            error = status.last_outcome.error
            return False, f"The last migration ended as {status.last_outcome.state}: {error.detail} {error.next_step}"
        behind = f"{len(status.pending)} revision{'' if len(status.pending) == 1 else 's'} behind"
        return False, f"The database is {behind}; somebody has to migrate it."


def _owed(backlog: AuditBacklog | None) -> str:
    """What does not keep a service from its traffic, but should not go unseen."""
    if backlog is None:
        return ""
    return f" {backlog.events} events have been waiting for the audit since {backlog.since:%Y-%m-%dT%H:%M:%SZ}."


def _half_done(status: ServiceStatus) -> bool:
    # A person was asked to look; trying again by ourselves could do harm.
    last = status.last_outcome
    return last is not None and last.state is OperationState.NEEDS_ATTENTION
