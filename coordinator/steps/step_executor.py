"""Carries out one step: sends the order to the service and asks until the operation ends.

No answer is no failure: the service may be at work, so it is asked again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta

from coordinator.domain.outcome import (
    Outcome,
    already_at_target,
    from_refusal,
    proofs_of_being_beyond,
    read_beyond,
    read_outcome,
    unknown_outcome,
)
from coordinator.domain.plan import nothing_to_do
from coordinator.domain.step import Step, StepState
from coordinator.errors import CoordinatorError, IdempotencyConflict, ServiceLied, SucceededOnOtherDatabase
from coordinator.ports import FleetMessenger, ServiceAddress
from coordinator.steps.assignment import Assignment
from coordinator.steps.silence_timer import SilenceTimer
from coordinator.unavailable import ServiceRefused, ServiceTimeout
from migration_sidecar.contract.messages import MigrationPlan, Operation, OperationRequest

POLL_SECONDS = 5
PAUSE_SECONDS = 1.0
DEADLINE_MARGIN = timedelta(minutes=10)


@dataclass(frozen=True)
class Limits:
    """How long an operation may take, how long one activity asks, and how long inconsistent answers are accepted."""

    operation_deadline: timedelta = timedelta(hours=1)
    activity_duration: timedelta = timedelta(seconds=20)
    # For a moment another service may answer under this app id; after this time it is a wrong configuration.
    inconsistent_answers: timedelta = timedelta(minutes=2)


@dataclass(frozen=True)
class StepExecutor:
    """Asks services about operations; called by the activity `carry_out`."""

    messenger: FleetMessenger
    limits: Limits
    silence_timer: SilenceTimer = field(default_factory=SilenceTimer)

    async def execute(self, work: Assignment, *, seconds: float | None = None) -> AsyncIterator[Outcome]:
        """Yields each new outcome until it is final, or until this call has lasted so many seconds, 20 by default.

        Raises SidecarUnreachable where the coordinator's own daprd is away.
        """
        step = work.step
        last = Outcome(state=StepState.RUNNING, attempts=step.attempts, applied=step.applied)
        limit = self.limits.activity_duration.total_seconds()
        deadline = time.monotonic() + (limit if seconds is None else min(limit, seconds))
        asked = False
        while time.monotonic() < deadline and not last.state.ended:
            asked_at = self.silence_timer.stopwatch()
            try:
                # After silence the order is sent again: the service recognises it by its id.
                operation = await (self._poll(step) if asked else self._order(work))
                asked, outcome = True, await self._read(work, operation)
                self.silence_timer.answered(step.operation_id or "")
            except CoordinatorError as error:
                asked, outcome = await self._after_error(work, last, error, asked_at)
            if outcome.state.ended:
                self.silence_timer.answered(step.operation_id or "")
            if outcome != last:
                yield outcome
            if not asked and not outcome.state.ended:
                await asyncio.sleep(PAUSE_SECONDS)
            last = outcome

    async def _order(self, work: Assignment) -> Operation:
        step = work.step
        order = OperationRequest(
            operation_id=step.operation_id or "",
            action=work.action,
            target=step.target,
            expected_revisions=step.from_revisions,
            plan_digest=step.plan_digest,
            beside_other_tables=step.beside_other_tables,
            deadline_seconds=round(self.limits.operation_deadline.total_seconds()),
            requested_by=work.requested_by,
            request_id=work.request_id,
        )
        return await self.messenger.start(_address(step), order, wait_seconds=POLL_SECONDS)

    async def _poll(self, step: Step) -> Operation:
        return await self.messenger.operation(_address(step), step.operation_id or "", wait_seconds=POLL_SECONDS)

    async def _read(self, work: Assignment, operation: Operation) -> Outcome:
        """The outcome of an answer. One that contradicts the plan is checked with the service's own plans first.

        Raises ServiceLied (CM-801) for what cannot be true.
        """
        try:
            return read_outcome(work.step, operation)
        except SucceededOnOtherDatabase as error:
            try:
                plans = [await self._plan(work, target) for target in proofs_of_being_beyond(work.step, operation)]
            except ServiceRefused as refusal:
                raise (error if refusal.is_final else refusal) from None
            if (beyond := read_beyond(work.step, operation, plans)) is None:
                raise
            return beyond

    async def _after_error(
        self, work: Assignment, last: Outcome, error: CoordinatorError, asked_at: float
    ) -> tuple[bool, Outcome]:
        """Whether the service has our operation all the same, and the outcome."""
        if not (isinstance(error, ServiceRefused) and error.their_problem.code == IdempotencyConflict.code):
            return False, await self._after_no_answer(work, last, error, asked_at)
        # Under this id the service has ours, with limits that were configured before a restart, or somebody else's.
        try:
            operation = await self._poll(work.step)
        except CoordinatorError as silence:
            return False, await self._after_no_answer(work, last, silence, asked_at)
        if (operation.action, operation.target) == (work.action, work.step.target):
            return True, last
        return False, await self._after_refusal(work, error)

    async def _after_no_answer(
        self, work: Assignment, last: Outcome, error: CoordinatorError, asked_at: float
    ) -> Outcome:
        """The outcome of an error.

        A definite refusal ends the step. After any other error the service is asked again, up to the limits.
        """
        if isinstance(error, ServiceRefused) and error.is_final:
            return await self._after_refusal(work, error)
        step, inconsistent = work.step, isinstance(error, ServiceLied)
        unanswered = self.silence_timer.unanswered(
            step.operation_id or "", asked_at, pause=PAUSE_SECONDS, inconsistent=inconsistent
        )
        if inconsistent and unanswered.inconsistent > self.limits.inconsistent_answers.total_seconds():
            return unknown_outcome(error.problem())
        if unanswered.silent > (self.limits.operation_deadline + DEADLINE_MARGIN).total_seconds():
            return unknown_outcome(ServiceTimeout(step.service, round(unanswered.silent), error.detail).problem())
        return last.model_copy(update={"waiting_for": f"{error.problem().full_detail} It is asked again."})

    async def _after_refusal(self, work: Assignment, error: ServiceRefused) -> Outcome:
        """A refused step is no failure where the database is at its target by now: another may have migrated it."""
        try:
            plan = await self._plan(work, work.step.target)
        except CoordinatorError:
            return from_refusal(error.problem())
        if error.answered == 409 and not plan.obstacles and nothing_to_do(plan):
            return already_at_target(work.step, plan.from_revisions)
        return from_refusal(error.problem(), plan.from_revisions)

    async def _plan(self, work: Assignment, target: str) -> MigrationPlan:
        return await self.messenger.plan(
            work.address,
            action=work.action,
            target=target,
            beside_other_tables=work.step.beside_other_tables,
        )


def _address(step: Step) -> ServiceAddress:
    return ServiceAddress(step.service, step.database)
