"""A run is one accepted request being carried out. Here is its record, and every change that the record can take."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from coordinator.domain import audit_events as audit
from coordinator.domain.audit_events import Actor
from coordinator.domain.outbox import OutboxEntry
from coordinator.domain.outcome import Outcome
from coordinator.domain.permissions import UNCHECKED, Requester
from coordinator.domain.plan import FleetPlan, nothing_to_do
from coordinator.domain.request import MigrationRequest
from coordinator.domain.run_state import MOVES, RunState, end_of
from coordinator.domain.stalled_run import Standstill, standstill_sentence
from coordinator.domain.step import Step, StepState
from coordinator.errors import IllegalMove, PreflightFailed
from migration_sidecar.contract.audit_detail import problem_facts
from migration_sidecar.contract.messages import AuditEvent, Problem
from migration_sidecar.contract.progress_events import ProgressEventType

Change = Callable[["Run"], "Run"]
# Fields that any progress of a run clears.
CLEARED_BY_PROGRESS: Mapping[str, Any] = {"waiting_for": None, "standstill": None}
PROGRESS_EVENT_OF = {
    "migration.requested": ProgressEventType.ACCEPTED,
    "migration.step_finished": ProgressEventType.STEP_FINISHED,
    "migration.finished": ProgressEventType.FINISHED,
}


class Run(BaseModel):
    """The record of one run. It is frozen: every method that changes something returns a new Run.

    `version` grows by one with every write of the store. `outbox` holds the events that the audit or the topic does
    not have yet.
    """

    model_config = ConfigDict(frozen=True)

    request_id: str
    state: RunState = RunState.ACCEPTED
    request: MigrationRequest
    request_digest: str
    caller: str | None = (
        None  # the verified name of who asked; in records of earlier releases the app id that Dapr gave
    )
    # How the requester is known. Left out while it is None: records of earlier releases have no such field.
    actor_basis: str | None = Field(default=None, exclude_if=lambda basis: basis is None)
    plan_digest: str | None = None
    accepted_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    steps: list[Step] = []
    obstacles: list[Problem] = []
    waiting_for: str | None = None  # one sentence while nothing can go on
    # Written by run recovery, next to what the run itself waits for. Left out while it is None.
    standstill: Standstill | None = Field(default=None, exclude_if=lambda standstill: standstill is None)
    error: Problem | None = None
    # Whether the record that was read bears the coordinator's signature; None where records are not signed.
    is_signed: bool | None = Field(default=None, exclude=True)
    version: int = 1
    outbox: list[OutboxEntry] = []

    @classmethod
    def accept(cls, request: MigrationRequest, now: datetime, requester: Requester = UNCHECKED) -> Self:
        """The first record of a request; its outbox holds `migration.requested`."""
        digest = request.digest
        run = cls(
            request_id=request.request_id,
            request=request,
            request_digest=digest,
            caller=requester.name,
            actor_basis=requester.basis,
            accepted_at=now,
        )
        return run._with_run_event("migration.requested", now, request_digest=digest, **run.asked)

    @property
    def audit(self) -> str:
        """`recorded` once the audit holds every event of the run so far, else `pending`."""
        return "recorded" if all(notice.recorded for notice in self.outbox) else "pending"

    @property
    def settled(self) -> bool:
        """Whether the run has ended and every event is delivered: nothing is left to do for it."""
        return self.state.terminal and not self.outbox

    @property
    def asked(self) -> dict[str, Any]:
        """What was asked, as `migration.requested` tells it; who asked is told by every event."""
        return self.request.model_dump(mode="json", exclude={"request_id", "requested_by"})

    @property
    def actor(self) -> Actor:
        """Who asked for this run, as its audit events name it."""
        return Actor(self.request.requested_by, self.caller, self.actor_basis)

    def public(self) -> dict[str, Any]:
        """The run as the API answers it: without the outbox, with `audit` and with the reason of a standstill."""
        why = standstill_sentence(self.standstill, self.waiting_for)
        signed = {} if self.is_signed is None else {"is_signed": self.is_signed}
        return {**self.model_dump(mode="json", exclude={"outbox"}), "waiting_for": why, "audit": self.audit, **signed}

    def step(self, service: str) -> Step:
        """The step of this service; raises StopIteration for a service that is not part of the run."""
        return next(step for step in self.steps if step.service == service)

    def with_plan(self, plan: FleetPlan, steps: Sequence[Step], now: datetime) -> Self:
        """Moves an accepted run to `running`, a dry run to `planned`, and one with obstacles to `failed`.

        Steps with nothing to do end here as `unchanged`, and the run with them if there are no others. A run that has a
        plan already stays as it is.
        """
        if self.state is not RunState.ACCEPTED:
            return self
        run = self.model_copy(update={"steps": list(steps), "obstacles": plan.obstacles})
        if plan.obstacles:
            return run._fail_before_start(now)
        unchanged = [
            step.moved(StepState.UNCHANGED, finished_at=now, duration_ms=0)
            for step in run.steps
            if (service_plan := plan.of(step.service)) and nothing_to_do(service_plan)
        ]
        if run.request.dry_run:
            return run._end_dry_run(unchanged, plan.digest, now)
        run = run._with_state(RunState.RUNNING, plan_digest=plan.digest, started_at=now)
        run = run._with_run_event("migration.started", now, plan_digest=plan.digest)
        for step in unchanged:
            run = run._with_ended_step(step, now)
        return run._finished_if_nothing_is_left(now)

    def begin_step(self, service: str, now: datetime) -> Self:
        """Moves a pending step to `running` and gives it its operation id; any other step stays as it is."""
        step = self.step(service)
        if step.state is not StepState.PENDING or self.state is not RunState.RUNNING:
            return self
        operation_id = f"{self.request_id}.{service}.1"
        begun = step.moved(StepState.RUNNING, operation_id=operation_id, started_at=now)
        run = self._with_step(begun).model_copy(update=CLEARED_BY_PROGRESS)
        return run._with_step_event("migration.step_started", now, begun)

    def apply_outcome(self, service: str, outcome: Outcome, now: datetime) -> Self:
        """Writes what the service reports into its step; a step that has ended stays as it was recorded first.

        The last step to end takes the run with it.
        """
        step = self.step(service)
        if step.state is not StepState.RUNNING:
            return self
        if not outcome.state.ended:
            return self._with_step(step.model_copy(update=outcome.facts()))
        # A clock that was set back since the start makes no time negative.
        passed = now - step.started_at if step.started_at else None
        duration_ms = None if passed is None else max(0, round(passed.total_seconds() * 1000))
        ended = step.moved(outcome.state, finished_at=now, duration_ms=duration_ms, **outcome.facts())
        return self._with_ended_step(ended, now)._finished_if_nothing_is_left(now)

    def finish(self, now: datetime) -> Self:
        """Ends a running run: steps that never started become `skipped`, and the worst step decides the state.

        Called once no step can go on, also where some never began. A run that is not running stays as it is.
        """
        if self.state is not RunState.RUNNING:
            return self
        run = self
        for step in self.steps:
            if step.state is StepState.PENDING:
                run = run._with_ended_step(step.skipped(now), now)
        end = end_of([step.state for step in run.steps])
        cause = next((step.error for step in run.steps if step.error), None)
        ended = run._with_state(end, finished_at=now, error=cause)
        facts = {"plan_digest": run.plan_digest, "error": problem_facts(cause) if cause else None}
        return ended._with_run_event("migration.finished", now, outcome=end.value, **facts)

    def with_waiting_reason(self, why: str | None) -> Self:
        """The run with one sentence about what it waits for, or without one."""
        return self if self.waiting_for == why else self.model_copy(update={"waiting_for": why})

    def with_standstill(self, standstill: Standstill | None) -> Self:
        """The run with the reason why its workflow does not move; called by run recovery."""
        return self if self.standstill is standstill else self.model_copy(update={"standstill": standstill})

    def mark_delivered(self, recorded: Collection[UUID], announced: Collection[UUID]) -> Self:
        """Marks what the audit has, and removes what the topic has too or does not get; called by the repository."""
        outbox: list[OutboxEntry] = []
        for notice in self.outbox:
            in_audit = notice.recorded or notice.event.event_id in recorded
            if in_audit and (notice.announcement is None or notice.event.event_id in announced):
                continue
            outbox.append(notice.model_copy(update={"recorded": in_audit}))
        return self if outbox == self.outbox else self.model_copy(update={"outbox": outbox})

    def _finished_if_nothing_is_left(self, now: datetime) -> Self:
        """In the same write, so that readers and the audit need not wait for another turn of the workflow."""
        return self.finish(now) if all(step.state.ended for step in self.steps) else self

    def _with_state(self, state: RunState, **facts: Any) -> Self:
        if state not in MOVES[self.state]:
            raise IllegalMove(f"Run {self.request_id}", self.state, state)
        return self.model_copy(update={"state": state, **CLEARED_BY_PROGRESS, **facts})

    def _with_step(self, changed: Step) -> Self:
        steps = [changed if step.service == changed.service else step for step in self.steps]
        return self.model_copy(update={"steps": steps})

    def _with_ended_step(self, step: Step, now: datetime) -> Self:
        return self._with_step(step)._with_step_event("migration.step_finished", now, step)

    def _fail_before_start(self, now: datetime) -> Self:
        run = self
        reasons = {obstacle.service: obstacle for obstacle in reversed(self.obstacles)}
        for step in self.steps:
            run = run._with_ended_step(step.skipped(now, error=reasons.get(step.service)), now)
        problem = PreflightFailed(self.obstacles, self.request_id).problem()
        ended = run._with_state(RunState.FAILED, finished_at=now, error=problem)
        facts = {"error": problem_facts(problem), "obstacles": [problem_facts(each) for each in self.obstacles]}
        return ended._with_run_event("migration.finished", now, outcome=RunState.FAILED.value, **facts)

    def _end_dry_run(self, unchanged: Sequence[Step], plan_digest: str, now: datetime) -> Self:
        run = self
        for step in unchanged:
            run = run._with_step(step)
        for step in run.steps:
            run = run._with_step_event("migration.step_planned", now, step)
        ended = run._with_state(RunState.PLANNED, plan_digest=plan_digest, finished_at=now)
        return ended._with_run_event("migration.finished", now, outcome=RunState.PLANNED.value, plan_digest=plan_digest)

    def _with_run_event(self, event_type: str, now: datetime, **detail: Any) -> Self:
        return self._with_outbox(audit.run_event(event_type, self.request_id, self.actor, now, **detail))

    def _with_step_event(self, event_type: str, now: datetime, step: Step) -> Self:
        return self._with_outbox(audit.step_event(event_type, self.request_id, self.actor, now, step))

    def _with_outbox(self, event: AuditEvent) -> Self:
        notice = OutboxEntry(event=event, announcement=PROGRESS_EVENT_OF.get(event.event_type))
        return self.model_copy(update={"outbox": [*self.outbox, notice]})
