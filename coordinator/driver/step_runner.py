"""Begins the step of one service and has it carried out; each outcome is stored before anything else happens."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from coordinator.audit.outbox_relay import OutboxRelay
from coordinator.domain.catalog import Catalog
from coordinator.domain.changes.ending import finish
from coordinator.domain.commands.waiting import Waiting, WaitingKind
from coordinator.domain.outcome import Outcome, unknown_outcome
from coordinator.domain.policies.next_action import Action, decide
from coordinator.domain.policies.waves import may_still_begin
from coordinator.domain.run import Run
from coordinator.domain.step import Step, StepState
from coordinator.driver.agreement import Agreement
from coordinator.driver.turn import AGAIN, Turn
from coordinator.errors import CoordinatorError
from coordinator.ports import Clock, FleetMessenger, ServiceAddress
from coordinator.runs.repository import RunRepository
from coordinator.steps.assignment import Assignment
from coordinator.steps.step_executor import StepExecutor
from coordinator.unavailable import AuditNotReady, AuditUnavailable, DocumentTooLarge, SidecarUnreachable

AUDIT_PAUSE_SECONDS = 2.0


@dataclass(frozen=True)
class StepRunner:
    """Called by the run driver, for several services of a run side by side."""

    runs: RunRepository
    relay: OutboxRelay
    executor: StepExecutor
    agreement: Agreement
    messenger: FleetMessenger
    catalog: Catalog
    clock: Clock
    stopwatch: Callable[[], float] = time.monotonic

    async def carry_out(self, run: Run, service: str, deadline: float) -> Turn:
        """Until the step has ended or the deadline, a reading of `stopwatch`, is reached; asks for no more than that.

        Raises SidecarUnreachable, StateUnavailable and StateContended.
        """
        if run.step(service).state is StepState.PENDING:
            begun = await self._begin(run, service)
            if isinstance(begun, Turn):
                return begun
            run = begun
        if run.step(service).state is not StepState.RUNNING:
            return AGAIN
        self.relay.deliver_in_background(run)
        seconds_left = max(0.0, deadline - self.stopwatch())
        async for outcome in self.executor.execute(Assignment.of(run, service), seconds=seconds_left):
            run = await self._store(run.request_id, service, outcome)
            if run.step(service).state is not StepState.RUNNING:
                break
        # Overlaps with the way to the next step, which waits for what is not delivered by then.
        self.relay.deliver_in_background(run)
        return AGAIN

    async def cancel(self, run: Run) -> None:
        """Asks the services to stop at the next whole revision. One that does not answer is asked at the next turn."""
        for step in run.running:
            operation_id = step.undo.operation_id if step.undo is not None else step.operation_id
            with suppress(CoordinatorError):
                await self.messenger.cancel(ServiceAddress(step.service, step.database), operation_id or "")

    async def _begin(self, run: Run, service: str) -> Run | Turn:
        """Starts the step once the audit has every event so far, and the plan is still the one that was agreed to."""
        try:
            await self.relay.deliver_to_audit(run)
        except (AuditUnavailable, SidecarUnreachable) as error:
            if not _may_start_without_audit(run.step(service), error, self.catalog):
                why = f"{error.problem().detail} Nothing new starts until the audit can be written."
                waiting = Waiting.of(WaitingKind.AUDIT, why, self.clock())
                await self.runs.update(run.request_id, lambda run: run.held(waiting))
                return Turn(wait_seconds=AUDIT_PAUSE_SECONDS)
        if not await self.agreement.still_holds(run, service):
            return AGAIN
        return await self.runs.update(run.request_id, lambda run: self._begun(run, service))

    def _begun(self, run: Run, service: str) -> Run:
        return run.begin_step(service, self.clock()) if may_still_begin(run, service) else run

    async def _store(self, request_id: str, service: str, outcome: Outcome) -> Run:
        """Stores the outcome. One that is too large for the record is stored as unknown."""
        try:
            return await self.runs.update(request_id, lambda run: self._with_outcome(run, service, outcome))
        except DocumentTooLarge as error:
            unknown = unknown_outcome(error.problem().model_copy(update={"service": service}))
            return await self.runs.update(request_id, lambda run: self._with_outcome(run, service, unknown))

    def _with_outcome(self, run: Run, service: str, outcome: Outcome) -> Run:
        """With the outcome of a step; the last one ends the run in the same write."""
        now = self.clock()
        run = run.apply_outcome(service, outcome, now)
        return finish(run, now) if decide(run, now).action is Action.FINISH else run


def _may_start_without_audit(step: Step, error: CoordinatorError, catalog: Catalog) -> bool:
    """Only the audit's own first migration may start before the audit can be written."""
    return step.service == catalog.fleet.audit and (isinstance(error, AuditNotReady) or not step.from_revisions)
