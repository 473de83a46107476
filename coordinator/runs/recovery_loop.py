"""The loop of run recovery: every ten seconds it looks at open runs, tidies the index and sends what waits."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from coordinator.audit.availability import Standing
from coordinator.audit.rejections import Rejections
from coordinator.domain.run import Run
from coordinator.domain.run_index import OpenRun
from coordinator.errors import CoordinatorError
from coordinator.runs.repository import Runs
from coordinator.runs.run_recovery import Caretaker

log = logging.getLogger(__name__)

# Far above the time an acceptance may take between the index and the record.
ABANDONED_AFTER = timedelta(minutes=5)
# A turn for nothing writes a few rows.
PROVEN_FOR_ROUNDS = 3
AT_ONCE = 10


@dataclass
class Sweep:
    """Runs for as long as the process lives. `open_runs` and `still_runs` are for health and metrics."""

    runs: Runs
    caretaker: Caretaker
    rejections: Rejections
    standing: Standing
    stopwatch: Callable[[], float] = time.monotonic
    open_runs: int = 0
    still_runs: int = 0  # of them, as their records say
    _unproven_rounds: int = 0
    _without_record: dict[str, float] = field(default_factory=dict)
    _looked_after: dict[str, None] = field(default_factory=dict)  # in the order of their last turns, the oldest first

    async def forever(self, every: timedelta) -> None:
        """One round at once, so that a restart recovers what a crash left, then one every `every`.

        An outage skips a round.
        """
        while True:
            # Both ask the engine; while it is away, each waits for its time limit.
            await asyncio.gather(self._at_any_rate(self.prove), self._at_any_rate(self.once))
            await self._at_any_rate(self.rejections.flush)
            await asyncio.sleep(every.total_seconds())

    async def _at_any_rate(self, part: Callable[[], Awaitable[Any]]) -> None:
        try:
            async with asyncio.timeout(60):
                await part()
        except (CoordinatorError, TimeoutError) as error:
            log.info("sweep_postponed", extra={"why": str(error) or "it took too long"})
        except Exception:
            log.exception("sweep_failed")

    async def prove(self) -> None:
        """Checks that the workflow engine works: every third round, and at every round while it does not."""
        self._unproven_rounds += 1
        if self._unproven_rounds >= PROVEN_FOR_ROUNDS or not self.caretaker.scheduler.connected:
            self._unproven_rounds = 0
            await self.caretaker.scheduler.prove()

    async def once(self) -> None:
        """One round: tidies the index, counts, and lets the caretaker look at each open run."""
        await self.runs.tidy()
        index = await self.runs.index()
        found = await self.runs.read_many([entry.request_id for entry in index.open])
        records = {run.request_id: run for run in found.runs}
        done = {request_id for request_id, run in records.items() if run.settled}
        recorded = {*records, *found.damaged}
        abandoned = [entry.request_id for entry in index.open if self._is_abandoned(entry, recorded)]
        await self.runs.leave(done, abandoned)
        owed = sum(not notice.recorded for run in records.values() for notice in run.outbox)
        self.standing.events_waiting = owed + self.rejections.waiting
        self.open_runs = len(index.open) - len(done) - len(abandoned)
        self.still_runs = sum(run.standstill is not None for run in records.values() if not run.settled)
        self.caretaker.keep_only(records.keys() - done)
        for request_id in self._without_record.keys() - {entry.request_id for entry in index.open}:
            del self._without_record[request_id]
        await self._look_after_all({each: run for each, run in records.items() if not run.settled})

    async def _look_after_all(self, runs: Mapping[str, Run]) -> None:
        """Takes runs in turns: a round that took too long goes on with the others at the next one."""
        before = [each for each in self._looked_after if each in runs]
        turns = [*(each for each in runs if each not in self._looked_after), *before]
        self._looked_after = dict.fromkeys(before)
        for start in range(0, len(turns), AT_ONCE):
            batch = turns[start : start + AT_ONCE]
            for each in batch:
                self._looked_after.pop(each, None)
                self._looked_after[each] = None
            await asyncio.gather(*(self._look_after(runs[each]) for each in batch))

    async def _look_after(self, run: Run) -> None:
        """An error of one run does not keep the others from their turn."""
        try:
            await self.caretaker.look_after(run)
        except CoordinatorError as error:
            log.info("run_not_looked_after", extra={"request_id": run.request_id, "why": error.detail})
        except Exception:
            log.exception("run_not_looked_after", extra={"request_id": run.request_id})

    def _is_abandoned(self, entry: OpenRun, recorded: Collection[str]) -> bool:
        """Whether an index entry has been without a record for five minutes, as this process measured it."""
        if entry.request_id in recorded:
            self._without_record.pop(entry.request_id, None)
            return False
        since = self._without_record.setdefault(entry.request_id, self.stopwatch())
        return self.stopwatch() - since > ABANDONED_AFTER.total_seconds()
