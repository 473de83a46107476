"""The loop of run recovery: every ten seconds it checks open runs, repairs the index and sends waiting events."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from coordinator.audit.availability import MonitoredAuditTrail
from coordinator.audit.rejections import Rejections
from coordinator.domain.run import Run
from coordinator.domain.run_index import OpenRun
from coordinator.errors import CoordinatorError
from coordinator.runs.repository import RunRepository
from coordinator.runs.run_recovery import RunRecovery

log = logging.getLogger(__name__)

# Far above the time an acceptance may take between the index and the record.
ABANDONED_AFTER = timedelta(minutes=5)
# The proof runs an empty workflow turn, which writes a few rows.
PROVE_EVERY_ROUNDS = 3
MAX_CONCURRENT = 10


@dataclass
class RecoveryLoop:
    """Runs for as long as the process lives. `open_runs` and `still_runs` are for health and metrics."""

    runs: RunRepository
    recovery: RunRecovery
    rejections: Rejections
    audit_trail: MonitoredAuditTrail
    stopwatch: Callable[[], float] = time.monotonic
    open_runs: int = 0
    still_runs: int = 0  # of them, as their records say
    _unproven_rounds: int = 0
    _without_record: dict[str, float] = field(default_factory=dict)
    _last_recovered: dict[str, None] = field(default_factory=dict)  # in the order of their last turns, the oldest first

    async def run(self, every: timedelta) -> None:
        """One round at once, so that a restart recovers what a crash left, then one every `every`.

        An outage skips a round.
        """
        while True:
            # Both ask the engine; while it is away, each waits for its time limit.
            await asyncio.gather(self._logging_failures(self.prove), self._logging_failures(self.run_once))
            await self._logging_failures(self.rejections.flush)
            await asyncio.sleep(every.total_seconds())

    async def _logging_failures(self, part: Callable[[], Awaitable[Any]]) -> None:
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
        if self._unproven_rounds >= PROVE_EVERY_ROUNDS or not self.recovery.scheduler.connected:
            self._unproven_rounds = 0
            await self.recovery.scheduler.prove()

    async def run_once(self) -> None:
        """One round: repairs the index, counts, and has `RunRecovery` check each open run."""
        await self.runs.tidy()
        index = await self.runs.index()
        stored = await self.runs.read_many([entry.request_id for entry in index.open])
        for request_id in stored.signed_before:
            await self.runs.sign_again(request_id)
        records = {run.request_id: run for run in stored.runs}
        done = {request_id: run.round for request_id, run in records.items() if run.settled}
        recorded = {*records, *stored.damaged}
        abandoned = [entry.request_id for entry in index.open if self._is_abandoned(entry, recorded)]
        await self.runs.index_remove(done, abandoned)
        owed = sum(not notice.recorded for run in records.values() for notice in run.outbox)
        self.audit_trail.events_waiting = owed + self.rejections.waiting
        self.open_runs = len(index.open) - len(done) - len(abandoned)
        self.still_runs = sum(run.standstill is not None for run in records.values() if not run.settled)
        self.recovery.retain(records.keys() - done.keys())
        for request_id in self._without_record.keys() - {entry.request_id for entry in index.open}:
            del self._without_record[request_id]
        await self._recover_all({each: run for each, run in records.items() if not run.settled})

    async def _recover_all(self, runs: Mapping[str, Run]) -> None:
        """Recovers all runs, the longest waiting first: a round that took too long leaves the rest to the next one."""
        before = [each for each in self._last_recovered if each in runs]
        turns = [*(each for each in runs if each not in self._last_recovered), *before]
        self._last_recovered = dict.fromkeys(before)
        for start in range(0, len(turns), MAX_CONCURRENT):
            batch = turns[start : start + MAX_CONCURRENT]
            for each in batch:
                self._last_recovered.pop(each, None)
                self._last_recovered[each] = None
            await asyncio.gather(*(self._recover(runs[each]) for each in batch))

    async def _recover(self, run: Run) -> None:
        """Recovers one run. Its error is logged, so that the other runs are still recovered."""
        try:
            await self.recovery.recover(run)
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
