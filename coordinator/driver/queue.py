"""Runs that share a service wait for each other, in the order in which they were accepted."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from coordinator.domain.run import Run
from coordinator.domain.run_index import OpenRun
from coordinator.errors import CoordinatorError
from coordinator.ports import WorkflowScheduler
from coordinator.runs.repository import RunRepository

# How many earlier runs are read to find one that has not ended; entries of ended ones are removed by run recovery.
READ_AT_ONCE = 10


@dataclass(frozen=True)
class RunQueue:
    """Reads the index of runs, whose entries name the services."""

    runs: RunRepository
    scheduler: WorkflowScheduler

    async def run_before(self, run: Run) -> str | None:
        """The first earlier run that has not ended and has one of the services of this run."""
        if run.request.dry_run:
            return None
        entries = (await self.runs.index()).open
        place = next((place for place, entry in enumerate(entries) if entry.request_id == run.request_id), None)
        if place is None:
            return None
        # Their places in the index, which no clock that is set changes, and which a retried run gives up.
        earlier = [entry for entry in entries[:place] if entry.shares_services_with(entries[place])]
        for start in range(0, len(earlier), READ_AT_ONCE):
            batch = earlier[start : start + READ_AT_ONCE]
            for before in (await self.runs.read_many([entry.request_id for entry in batch])).runs:
                if not (before.state.terminal or before.request.dry_run):
                    return before.request_id
        return None

    async def wake_next(self, run: Run) -> None:
        """Wakes the runs that may have waited for this one; one that is not woken looks by itself within 30 s."""
        with suppress(CoordinatorError):
            entries = (await self.runs.index()).open
            ended = OpenRun.of(run.request_id, run.accepted_at, run.request)
            waiting = [entry for entry in entries if entry.shares_services_with(ended)]
            for next_run in (await self.runs.read_many([entry.request_id for entry in waiting[:READ_AT_ONCE]])).runs:
                await self.scheduler.wake(next_run.instance_id)
