"""Accepts a request.

Each effect can be repeated: a repeat of the request or run recovery completes what a crash left.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from coordinator.domain.catalog import Catalog
from coordinator.domain.permissions import UNCHECKED, Requester
from coordinator.domain.request import MigrationRequest
from coordinator.domain.run import Run
from coordinator.errors import IdempotencyConflict
from coordinator.ports import Clock, Phase, WorkflowScheduler
from coordinator.runs.repository import RunRepository
from coordinator.unavailable import WorkflowUnavailable

log = logging.getLogger(__name__)

SCHEDULING_LIMIT_SECONDS = 3.0


@dataclass(frozen=True)
class Acceptance:
    """Makes one run of each request id; called by `RequestIntake`."""

    runs: RunRepository
    scheduler: WorkflowScheduler
    catalog: Catalog
    clock: Clock

    async def accept(self, request: MigrationRequest, requester: Requester = UNCHECKED) -> Run:
        """The one run of this request id, new or known.

        Raises CM-201 before anything is stored, IdempotencyConflict (CM-601) for another body under a known id,
        StateUnavailable and StateContended.
        """
        stored = await self.runs.read(request.request_id)
        if stored is not None:
            return await self._accept_repeat(stored, request)
        self.catalog.select(request)
        run, is_new = await self.runs.create(Run.accept(request, self.clock(), requester))
        if not is_new:
            return await self._accept_repeat(run, request)
        await self.start(run)
        return run

    async def _accept_repeat(self, run: Run, request: MigrationRequest) -> Run:
        if run.request_digest != request.digest:
            raise IdempotencyConflict(request.request_id)
        if not run.settled:
            await self._start_unless_scheduled(run)
        return run

    async def _start_unless_scheduled(self, run: Run) -> None:
        try:
            async with asyncio.timeout(SCHEDULING_LIMIT_SECONDS):
                phase = (await self.scheduler.driver(run.instance_id)).phase
        except (WorkflowUnavailable, TimeoutError):
            return  # run recovery will look; starting a finished workflow anew would delete its history
        except Exception:
            log.exception("start_failed", extra={"request_id": run.request_id})
            return
        if phase is Phase.NONE:
            await self.start(run)

    async def start(self, run: Run) -> None:
        """Schedules the workflow.

        A failure raises nothing: the record is stored, and run recovery schedules it again.
        """
        try:
            async with asyncio.timeout(SCHEDULING_LIMIT_SECONDS):
                await self.scheduler.schedule(run.instance_id)
        except (WorkflowUnavailable, TimeoutError) as error:
            log.warning(
                "start_postponed", extra={"request_id": run.request_id, "why": str(error) or "no answer in time"}
            )
        except Exception:
            # An error of ours. The caller must not be refused, because the run goes on.
            log.exception("start_failed", extra={"request_id": run.request_id})
