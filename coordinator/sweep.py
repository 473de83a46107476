"""Looks after accepted runs that nobody repeats: starts what has no workflow, tidies what is done."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta

from coordinator.domain.index import OpenRun
from coordinator.errors import CoordinatorError
from coordinator.ports import Clock, Phase, WorkflowScheduler
from coordinator.rejections import Rejections
from coordinator.runs import Runs
from coordinator.standing import Standing

log = logging.getLogger(__name__)

# Far above the time an acceptance may take between the index and the record.
ABANDONED_AFTER = timedelta(minutes=5)
LONGEST_REST_ROUNDS = 30


@dataclass
class Sweep:
    runs: Runs
    scheduler: WorkflowScheduler
    rejections: Rejections
    clock: Clock
    standing: Standing
    open_runs: int = 0
    _revivals: Counter[str] = field(default_factory=Counter)
    _rest: Counter[str] = field(default_factory=Counter)

    async def forever(self, every: timedelta) -> None:
        """One round at once, so that a restart takes up what a crash left; an outage only postpones a round."""
        while True:
            for part in (self.once, self.rejections.flush):
                try:
                    async with asyncio.timeout(60):
                        await part()
                except (CoordinatorError, TimeoutError) as error:
                    log.info("sweep_postponed", extra={"why": str(error) or "it took too long"})
                except Exception:
                    log.exception("sweep_failed")
            await asyncio.sleep(every.total_seconds())

    async def once(self) -> None:
        await self.runs.tidy()
        index = await self.runs.index()
        found = await self.runs.read_many([entry.request_id for entry in index.open])
        records = {run.request_id: run for run in found.runs}
        done = [request_id for request_id, run in records.items() if run.settled]
        abandoned = [entry.request_id for entry in index.open if self._is_abandoned(entry, {*records, *found.damaged})]
        await self.runs.leave(done, abandoned)
        owed = sum(not notice.recorded for run in records.values() for notice in run.outbox)
        self.standing.events_waiting = owed + self.rejections.waiting
        self.open_runs = len(index.open) - len(done) - len(abandoned)
        for entry in index.open:
            if entry.request_id in records and entry.request_id not in done:
                await self._revive(entry.request_id)

    def _is_abandoned(self, entry: OpenRun, recorded: Collection[str]) -> bool:
        return entry.request_id not in recorded and self.clock() - entry.at > ABANDONED_AFTER

    async def _revive(self, request_id: str) -> None:
        phase = await self.scheduler.phase(request_id)
        if phase is Phase.ALIVE:
            self._revivals.pop(request_id, None)
            return
        if self._rest[request_id] > 0:
            self._rest[request_id] -= 1
            return
        log.warning("run_taken_up_again", extra={"request_id": request_id, "workflow": phase.value})
        await self.scheduler.schedule(request_id)
        # A workflow that keeps failing is a mistake of ours: keep trying, but not all day every ten seconds.
        self._revivals[request_id] += 1
        self._rest[request_id] = min(2 ** self._revivals[request_id] - 2, LONGEST_REST_ROUNDS)
