"""Takes back what a run applied to one database, if no data is lost by it; else says what a person has to do."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from coordinator.domain.changes import compensation
from coordinator.domain.run import Run
from coordinator.driver.turn import AGAIN, Turn
from coordinator.errors import CoordinatorError
from coordinator.ports import Clock, FleetMessenger, ServiceAddress
from coordinator.runs.repository import RunRepository
from coordinator.steps.assignment import Assignment
from coordinator.steps.step_executor import StepExecutor
from coordinator.unavailable import ServiceUnreachable
from migration_sidecar.contract.messages import Action, Problem

PAUSE_SECONDS = 1.0


class NotTakenBack(CoordinatorError):
    """A database that stays as the run left it, because the way back is closed or would lose data."""

    code = "CM-206"


@dataclass(frozen=True)
class Compensator:
    """Called by the run driver for one service after the other, the last one that was changed first."""

    runs: RunRepository
    executor: StepExecutor
    messenger: FleetMessenger
    clock: Clock
    stopwatch: Callable[[], float] = time.monotonic

    async def take_back(self, run: Run, service: str, deadline: float) -> Turn:
        """Until the way back has ended or the deadline, a reading of `stopwatch`, is reached."""
        if run.step(service).undo is None:
            begun = await self._begin(run, service)
            if begun is None:
                return Turn(wait_seconds=PAUSE_SECONDS)
            run = begun
        undo = run.step(service).undo
        if undo is None or undo.ended:
            return AGAIN
        seconds_left = max(0.0, deadline - self.stopwatch())
        async for outcome in self.executor.execute(Assignment.taking_back(run, service), seconds=seconds_left):
            run = await self.runs.update(
                run.request_id,
                lambda run, outcome=outcome: compensation.apply_undo_outcome(run, service, outcome, self.clock()),  # type: ignore[misc]
            )
        return AGAIN

    async def _begin(self, run: Run, service: str) -> Run | None:
        """The run with the way back begun, or refused; None where the service does not answer now."""
        step = run.step(service)
        target = compensation.target_of_undo(step)
        if target is None:
            return await self._refuse(run, service, "before this run it was at no revision, or at several heads.")
        try:
            plan = await self.messenger.plan(
                ServiceAddress(service, step.database), action=Action.DOWNGRADE, target=target
            )
        except ServiceUnreachable:
            return None
        except CoordinatorError as error:
            if error.service is None:
                raise
            return await self._refuse(run, service, error.detail)
        if (why := compensation.obstacle_to_undo(step, plan)) is not None:
            return await self._refuse(run, service, why, plan.from_revisions)
        return await self.runs.update(run.request_id, lambda run: compensation.begin_undo(run, service, plan))

    async def _refuse(self, run: Run, service: str, why: str, at: list[str] | None = None) -> Run:
        step = run.step(service)
        sentence = compensation.sentence_for_a_person(step, why, step.to_revisions if at is None else at)
        error = NotTakenBack(sentence, service=service)
        target = compensation.target_of_undo(step) or "TARGET"
        error.next_step = (
            f"Look at the database. Where the alembic.ini of {service} is, migration-sidecar downgrade {target} takes"
            " it back."
        )
        problem: Problem = error.problem()
        return await self.runs.update(
            run.request_id, lambda run: compensation.refuse_undo(run, service, problem, self.clock())
        )
