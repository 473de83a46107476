"""Migrates at start-up according to MIGRATE_ON_STARTUP, and answers readiness."""

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
    """Migrates in the background according to MIGRATE_ON_STARTUP. The port is open from the beginning."""

    def __init__(
        self,
        settings: Settings,
        reader: StatusReader,
        operations: OperationQueue,
        on_status: Callable[[ServiceStatus], None],
    ) -> None:
        self._settings = settings
        self._reader = reader
        self._operations = operations
        self._on_status = on_status  # called with each status that `watch` reads
        self._started_operations: set[str] = set()  # their ids: operations that this start-up accepted
        self._attempted_heads: list[str] | None = None  # the target of the last of them
        self._task: asyncio.Task[None] | None = None

    @property
    def _target(self) -> str:
        return "head" if self._settings.target else "heads"  # with that setting, head means what it names

    async def run(self) -> None:
        """Continues unfinished operations, then migrates if the setting is `apply`. Waits for an unreachable database.

        Returns when an operation runs or nothing is to be done. A background task then checks again whenever an
        operation has ended; `close` cancels it.
        """
        operation_ids = await self._check_when_reachable([])
        if operation_ids is not None:
            self._task = asyncio.create_task(self._check_until_settled(operation_ids))

    async def close(self) -> None:
        """Cancels the background task."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _check_until_settled(self, operation_ids: list[str] | None) -> None:
        try:
            while operation_ids is not None:
                if not operation_ids:
                    await asyncio.sleep(RECHECK_SECONDS)
                operation_ids = await self._check_when_reachable(operation_ids)
        except Exception:
            log.exception("start_up_failed", extra={"service": self._settings.service})

    async def _check_when_reachable(self, previous_ids: list[str]) -> list[str] | None:
        """As `_check_once`, but waits for an unreachable database. None after an error that does not pass by itself."""
        pause = 0.5
        while True:
            try:
                return await self._check_once(previous_ids)
            except ProblemError as error:
                log.warning("start_up_waits", extra={"service": self._settings.service, "code": error.problem.code})
                if not error.problem.retryable and error.problem.code not in ("CM-511",):
                    return None  # readiness still reports the problem
                await asyncio.sleep(pause)
                pause = min(pause * 2, 10.0)

    async def _check_once(self, previous_ids: list[str]) -> list[str] | None:
        """Waits for the previous operations. Returns the ids of those that run now; None if nothing is left to do."""
        for operation_id in previous_ids:
            if self._is_final(await self._operations.ended(operation_id)):
                return None
        unfinished = await self._operations.resume(self._target)
        if self._settings.on_startup is not OnStartup.APPLY:
            return None
        # An unfinished operation may bring the database to head; a second one would be superfluous.
        return unfinished or await self._migrate()

    def _is_final(self, ended: Operation) -> bool:
        """Whether start-up stops here: a person must look, or the operation that this start-up made has failed."""
        if ended.state is OperationState.NEEDS_ATTENTION:
            return True
        return ended.operation_id in self._started_operations and ended.state is not OperationState.SUCCEEDED

    async def _migrate(self) -> list[str] | None:
        status = await self._reader.status()
        if status.state in UNDETERMINED_STATES and status.error is not None:
            raise ProblemError.of(status.error)
        # If it is behind the same heads again, somebody downgraded it; other heads mean new files.
        is_done = status.head_revisions == self._attempted_heads
        # At head env.py is run once, unless it has no effect of its own.
        due = status.state in MIGRATABLE or (
            status.state is DatabaseState.AT_HEAD and not await self._reader.env_only_connects()
        )
        if not due or _needs_attention(status) or is_done:
            log.info("start_up_done", extra={"service": self._settings.service, "state": status.state})
            return None
        request = OperationRequest(operation_id=f"start-up-{uuid4()}", target=self._target, requested_by="start-up")
        accepted = await self._operations.accept_alone(request, origin=Origin.START_UP)
        if accepted is None:  # another replica is first, or has just finished
            return [] if status.pending or status.state is DatabaseState.MIGRATING else None
        self._attempted_heads = status.head_revisions
        self._started_operations.add(accepted.operation_id)
        return [accepted.operation_id]

    async def watch(self) -> None:
        """With the setting `check`, repeats: reads the status and calls `on_status`, which may prepare a process.

        It does not stop at head: new revision files or a restored database can make the database behind again.
        """
        while self._settings.on_startup is OnStartup.CHECK:
            status = await self._reader.status()
            self._on_status(status)
            at_head = status.state is DatabaseState.AT_HEAD
            await asyncio.sleep(WATCH_AT_HEAD_SECONDS if at_head else WATCH_SECONDS)

    async def readiness(self, loading: LoadDeadline = UNLIMITED) -> tuple[bool, str]:
        """Whether the service may take traffic, and the reason as a sentence. Reads the status on every call."""
        status = await self._reader.status(loading)
        is_ready, reason = self._evaluate(status)
        return is_ready, reason + _backlog_remark(status.audit_backlog)

    def _evaluate(self, status: ServiceStatus) -> tuple[bool, str]:
        if status.state is DatabaseState.AT_HEAD:
            return True, "The database is at head."
        if self._settings.on_startup is OnStartup.OFF and status.state is not DatabaseState.UNREACHABLE:
            return True, "The database is not checked (MIGRATE_ON_STARTUP=off)."
        if status.error is not None and not _needs_attention(status):
            return False, f"{status.error.full_detail} {status.error.next_step}"
        if status.state is DatabaseState.MIGRATING or _is_unfinished(status):
            return False, f"The database is being migrated.{_waiting_reason(status)}"
        if status.last_outcome is not None and status.last_outcome.error is not None:
            error, state = status.last_outcome.error, status.last_outcome.state
            return False, f"The last migration ended as {state}: {error.full_detail} {error.next_step}"
        behind = f"{len(status.pending)} revision{'' if len(status.pending) == 1 else 's'} behind"
        return False, f"The database is {behind}; somebody has to migrate it."


def _backlog_remark(backlog: AuditBacklog | None) -> str:
    """A remark about events not yet sent to the audit. They do not make a service unready."""
    if backlog is None:
        return ""
    return f" {backlog.events} events have been waiting for the audit since {backlog.since:%Y-%m-%dT%H:%M:%SZ}."


def _is_unfinished(status: ServiceStatus) -> bool:
    """Whether the last operation has not ended. Between two attempts no session holds the migration lock."""
    return status.last_outcome is not None and not status.last_outcome.state.ended


def _waiting_reason(status: ServiceStatus) -> str:
    last = status.last_outcome
    return f" {last.waiting_for}" if last is not None and last.waiting_for else ""


def _needs_attention(status: ServiceStatus) -> bool:
    # A person must look first; another attempt could do harm.
    last = status.last_outcome
    return last is not None and last.state is OperationState.NEEDS_ATTENTION
