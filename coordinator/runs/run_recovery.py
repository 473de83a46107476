"""Recovers one open run: says why it stands still, starts its workflow again, or leaves it alone."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field

from coordinator.domain.run import Change, Run
from coordinator.domain.run_state import RunState
from coordinator.domain.stalled_run import Standstill
from coordinator.errors import CoordinatorError
from coordinator.ports import Driver, Phase, WorkflowScheduler
from coordinator.runs.repository import RunRepository
from coordinator.runs.workflow_progress import REPLACE_AFTER_SECONDS, REPORT_AFTER_SECONDS, WorkflowProgress, content

log = logging.getLogger(__name__)

MAX_ROUNDS_TO_WAIT = 30


@dataclass
class RunRecovery:
    """Recovers one run at a time; called by `RecoveryLoop`."""

    runs: RunRepository
    scheduler: WorkflowScheduler
    progress: WorkflowProgress
    not_starting: set[str] = field(default_factory=set)  # accepted runs whose workflow does not start
    _schedulings: Counter[str] = field(default_factory=Counter)
    _rounds_to_wait: Counter[str] = field(default_factory=Counter)

    async def recover(self, run: Run) -> None:
        """Compares a run with the state of its workflow, and repairs what is needed.

        Raises WorkflowUnavailable or StateUnavailable; the next round then repeats it.
        """
        try:
            driver = await self.scheduler.driver(run.instance_id)
        except CoordinatorError:
            await self._record_standstill(run, Driver(Phase.NONE))
            raise
        still = await self._record_standstill(run, driver)
        if driver.phase in (Phase.NONE, Phase.OVER):
            await self._schedule_again(run, driver.phase)
            return
        self._schedulings.pop(run.request_id, None)
        if still >= REPLACE_AFTER_SECONDS and self.scheduler.connected:
            await self._replace_workflow(run)

    def retain(self, open_ids: set[str]) -> None:
        """Forgets what it remembers of runs that are no longer open."""
        self.not_starting &= open_ids
        self.progress.retain(open_ids)
        for counted in (self._schedulings, self._rounds_to_wait):
            for request_id in counted.keys() - open_ids:
                del counted[request_id]

    async def _record_standstill(self, run: Run, driver: Driver) -> float:
        """Seconds without progress. The record says why, once that is long, or at once where somebody stopped it."""
        still = self.progress.still_seconds(run, driver)
        stopped_by_hand = driver.phase is Phase.PAUSED
        if still < REPORT_AFTER_SECONDS and not stopped_by_hand:
            self.not_starting.discard(run.request_id)
            if still == 0:
                await self._set_standstill(run, None)
            return still
        if run.state is RunState.ACCEPTED and not stopped_by_hand and not run.waiting:
            self.not_starting.add(run.request_id)
        await self._set_standstill(run, Standstill.PAUSED if stopped_by_hand else Standstill.STILL)
        return still

    async def _set_standstill(self, run: Run, why: Standstill | None) -> None:
        if run.standstill is why:
            return
        log.log(logging.WARNING if why else logging.INFO, "run_stands_still", extra=_log_fields(run, why))
        await self.runs.update(run.request_id, _unless_changed(run, why))

    async def _schedule_again(self, run: Run, phase: Phase) -> None:
        """Starts a workflow that is not there; one that ended too early is followed by one of the next generation."""
        request_id = run.request_id
        if self._rounds_to_wait[request_id] > 0:
            self._rounds_to_wait[request_id] -= 1
            return
        log.warning("run_taken_up_again", extra={"request_id": request_id, "workflow": phase.value})
        if phase is Phase.OVER:
            run = await self.runs.update(request_id, _next_generation(run))
        await self.scheduler.schedule(run.instance_id)
        # A workflow that keeps failing is an error of ours: the pauses between attempts grow.
        self._schedulings[request_id] += 1
        self._rounds_to_wait[request_id] = min(2 ** self._schedulings[request_id] - 2, MAX_ROUNDS_TO_WAIT)

    async def _replace_workflow(self, run: Run) -> None:
        """Has a workflow of the next generation drive a run that does not move. Only one replica wins the claim.

        The record names the generation, so the earlier workflow ends as soon as it moves again. Operations keep their
        ids, so nothing is migrated twice.
        """
        claim = _Claim(run)
        claimed = await self.runs.update(run.request_id, claim)
        if not claim.won:
            return
        self.progress.forget(run.request_id)
        log.warning("run_taken_up_again", extra={"request_id": run.request_id, "workflow": "still"})
        await self.scheduler.schedule(claimed.instance_id)
        try:
            await self.scheduler.terminate(run.instance_id)
        except CoordinatorError as error:
            # A stalled one cannot be ended. It harms nothing: the record belongs to the next generation.
            log.info("former_workflow_not_ended", extra={"request_id": run.request_id, "why": error.detail})


def _unless_changed(observed: Run, why: Standstill | None) -> Change:
    return lambda run: run.with_standstill(why) if run.standstill is observed.standstill and not run.settled else run


def _next_generation(observed: Run) -> Change:
    """Only one of several replicas makes the step to the next generation."""
    generation = observed.generation
    return lambda run: run.driven_by(generation + 1) if run.generation == generation else run


class _Claim:
    """A change that only one replica can make, and none where the record changed since it was read."""

    def __init__(self, observed: Run) -> None:
        self._observed, self.won = content(observed), False

    def __call__(self, run: Run) -> Run:
        self.won = content(run) == self._observed and run.standstill is not Standstill.TAKEN_UP
        return run.driven_by(run.generation + 1).with_standstill(Standstill.TAKEN_UP) if self.won else run


def _log_fields(run: Run, why: Standstill | None) -> dict[str, str | None]:
    return {"request_id": run.request_id, "why": why.value if why else None}
