"""A run is one accepted request being carried out; every change of it is a function from a run to the next one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from coordinator.domain import audit_events as audit
from coordinator.domain.audit_events import Actor
from coordinator.domain.outbox import Notice
from coordinator.domain.outcome import Outcome
from coordinator.domain.plan import FleetPlan, nothing_to_do
from coordinator.domain.request import MigrationRequest
from coordinator.domain.run_state import MOVES, RunState, end_of
from coordinator.domain.stalled_run import Standstill, told
from coordinator.domain.step import Step, StepState
from coordinator.errors import IllegalMove, PreflightFailed
from migration_sidecar.contract.audit_detail import problem_facts
from migration_sidecar.contract.messages import Problem
from migration_sidecar.contract.progress_events import Announcement

Change = Callable[["Run"], "Run"]
MOVING: Mapping[str, Any] = {"waiting_for": None, "standstill": None}


class Run(BaseModel):
    """The run record; `version` grows with every write, `outbox` holds what is not delivered yet."""

    model_config = ConfigDict(frozen=True)

    request_id: str
    state: RunState = RunState.ACCEPTED
    request: MigrationRequest
    request_digest: str
    caller: str | None = None  # the application that Dapr let through, where that was checked
    plan_digest: str | None = None
    accepted_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    steps: list[Step] = []
    obstacles: list[Problem] = []
    waiting_for: str | None = None  # one sentence while nothing can go on
    # Said by who looks after runs, beside what the run itself waits for; other records are as they always were.
    standstill: Standstill | None = Field(default=None, exclude_if=lambda standstill: standstill is None)
    error: Problem | None = None
    version: int = 1
    outbox: list[Notice] = []

    @property
    def audit(self) -> str:
        return "recorded" if all(notice.recorded for notice in self.outbox) else "pending"

    @property
    def settled(self) -> bool:
        """Nothing is left to do for it, not even to tell somebody."""
        return self.state.terminal and not self.outbox

    def public(self) -> dict[str, Any]:
        """As API, CLI and callers see it."""
        why = told(self.standstill, self.waiting_for)
        return {**self.model_dump(mode="json", exclude={"outbox"}), "waiting_for": why, "audit": self.audit}

    @property
    def actor(self) -> Actor:
        return Actor(self.request.requested_by, self.caller)

    def step(self, service: str) -> Step:
        return next(step for step in self.steps if step.service == service)

    def became(self, state: RunState, **facts: Any) -> Self:
        if state not in MOVES[self.state]:
            raise IllegalMove(f"Run {self.request_id}", self.state, state)
        return self.model_copy(update={"state": state, **MOVING, **facts})

    def owing(self, *notices: Notice) -> Self:
        return self.model_copy(update={"outbox": [*self.outbox, *notices]})

    def with_step(self, changed: Step) -> Self:
        steps = [changed if step.service == changed.service else step for step in self.steps]
        return self.model_copy(update={"steps": steps})

    def _notice(self, event_type: str, now: datetime, **detail: Any) -> Notice:
        announcement = ANNOUNCED.get(event_type)
        event = audit.about_run(event_type, self.request_id, self.actor, now, **detail)
        return Notice(event=event, announcement=announcement)

    def _step_notice(self, event_type: str, now: datetime, step: Step) -> Notice:
        event = audit.about_step(event_type, self.request_id, self.actor, now, step)
        return Notice(event=event, announcement=ANNOUNCED.get(event_type))


ANNOUNCED = {
    "migration.requested": Announcement.ACCEPTED,
    "migration.step_finished": Announcement.STEP_FINISHED,
    "migration.finished": Announcement.FINISHED,
}


def accepted(request: MigrationRequest, now: datetime, caller: str | None = None) -> Run:
    digest = request.digest
    run = Run(request_id=request.request_id, request=request, request_digest=digest, caller=caller, accepted_at=now)
    asked = request.model_dump(mode="json", exclude={"request_id", "requested_by"})
    return run.owing(run._notice("migration.requested", now, request_digest=digest, **asked))


def planned(run: Run, plan: FleetPlan, steps: Sequence[Step], now: datetime) -> Run:
    """The first move of a run: into its steps, to `planned` for a dry run, or to `failed` with every reason."""
    if run.state is not RunState.ACCEPTED:
        return run
    run = run.model_copy(update={"steps": list(steps), "obstacles": plan.obstacles})
    if plan.obstacles:
        return _stopped_before_it_began(run, now)
    if run.request.dry_run:
        for step in _with_nothing_to_do(run, plan):
            run = run.with_step(step.moved(StepState.UNCHANGED, finished_at=now, duration_ms=0))
        run = run.owing(*(run._step_notice("migration.step_planned", now, step) for step in run.steps))
        ended = run.became(RunState.PLANNED, plan_digest=plan.digest, finished_at=now)
        return ended.owing(ended._notice("migration.finished", now, outcome="planned", plan_digest=plan.digest))
    run = run.became(RunState.RUNNING, plan_digest=plan.digest, started_at=now)
    run = run.owing(run._notice("migration.started", now, plan_digest=plan.digest))
    for step in _with_nothing_to_do(run, plan):
        run = _with_ended_step(run, step.moved(StepState.UNCHANGED, finished_at=now, duration_ms=0), now)
    return run


def _with_nothing_to_do(run: Run, plan: FleetPlan) -> list[Step]:
    return [step for step in run.steps if (found := plan.of(step.service)) and nothing_to_do(found)]


def step_begun(run: Run, service: str, now: datetime) -> Run:
    step = run.step(service)
    if step.state is not StepState.PENDING or run.state is not RunState.RUNNING:
        return run
    operation_id = f"{run.request_id}.{service}.1"
    begun = step.moved(StepState.RUNNING, operation_id=operation_id, started_at=now)
    run = run.with_step(begun).model_copy(update=MOVING)
    return run.owing(run._step_notice("migration.step_started", now, begun))


def step_told(run: Run, service: str, outcome: Outcome, now: datetime) -> Run:
    """What the service says about its step; a step that has ended stays as it was recorded first."""
    step = run.step(service)
    if step.state is not StepState.RUNNING:
        return run
    if not outcome.state.ended:
        return run.with_step(step.model_copy(update=outcome.facts()))
    # A clock that was set back meanwhile makes no time negative.
    passed = now - step.started_at if step.started_at else None
    duration_ms = None if passed is None else max(0, round(passed.total_seconds() * 1000))
    ended = step.moved(outcome.state, finished_at=now, duration_ms=duration_ms, **outcome.facts())
    return _with_ended_step(run, ended, now)


def finished(run: Run, now: datetime) -> Run:
    """The last move, once no step can go on: what never started is skipped, and the run says what it has become."""
    if run.state is not RunState.RUNNING:
        return run
    for step in run.steps:
        if step.state is StepState.PENDING:
            run = _with_ended_step(run, step.skipped(now), now)
    end = end_of([step.state for step in run.steps])
    cause = next((step.error for step in run.steps if step.error), None)
    ended = run.became(end, finished_at=now, error=cause)
    facts = {"plan_digest": run.plan_digest, "error": problem_facts(cause) if cause else None}
    return ended.owing(ended._notice("migration.finished", now, outcome=end.value, **facts))


def waiting(run: Run, why: str | None) -> Run:
    return run if run.waiting_for == why else run.model_copy(update={"waiting_for": why})


def standing(run: Run, standstill: Standstill | None) -> Run:
    return run if run.standstill is standstill else run.model_copy(update={"standstill": standstill})


def delivered(run: Run, recorded: Collection[UUID], announced: Collection[UUID]) -> Run:
    """Strikes out what the audit and the topic have; a notice leaves once both do."""
    outbox: list[Notice] = []
    for notice in run.outbox:
        noted = notice.recorded or notice.event.event_id in recorded
        if noted and (notice.announcement is None or notice.event.event_id in announced):
            continue
        outbox.append(notice.model_copy(update={"recorded": noted}))
    return run if outbox == run.outbox else run.model_copy(update={"outbox": outbox})


def _with_ended_step(run: Run, step: Step, now: datetime) -> Run:
    return run.with_step(step).owing(run._step_notice("migration.step_finished", now, step))


def _stopped_before_it_began(run: Run, now: datetime) -> Run:
    reasons = {obstacle.service: obstacle for obstacle in reversed(run.obstacles)}
    for step in run.steps:
        run = _with_ended_step(run, step.skipped(now, error=reasons.get(step.service)), now)
    problem = PreflightFailed(run.obstacles, run.request_id).problem()
    ended = run.became(RunState.FAILED, finished_at=now, error=problem)
    facts = {"error": problem_facts(problem), "obstacles": [problem_facts(each) for each in run.obstacles]}
    return ended.owing(ended._notice("migration.finished", now, outcome=RunState.FAILED.value, **facts))
