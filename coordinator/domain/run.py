"""A run is one accepted request being carried out. Here is its record, and what one step can change in it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from coordinator.domain import audit_events as audit
from coordinator.domain.audit_events import Actor
from coordinator.domain.commands.approval import Approval
from coordinator.domain.commands.command import Command, Verb
from coordinator.domain.commands.legality import possible
from coordinator.domain.commands.waiting import Waiting
from coordinator.domain.outbox import DERIVED, PROGRESS_EVENT_OF, OutboxEntry, ToldEvent
from coordinator.domain.outcome import Outcome
from coordinator.domain.permissions import UNCHECKED, Requester
from coordinator.domain.request import MigrationRequest, left_out_while
from coordinator.domain.run_state import MOVES, RunState
from coordinator.domain.stalled_run import Standstill, standstill_sentence
from coordinator.domain.step import Step, StepState
from coordinator.errors import IllegalMove
from migration_sidecar.contract.messages import AuditEvent, Problem

Change = Callable[["Run"], "Run"]
# Fields that any progress of a run clears.
CLEARED_BY_PROGRESS: Mapping[str, Any] = {"waiting_for": None, "waiting": None, "standstill": None}


class Run(BaseModel):
    """The record of one run. It is frozen: every method that changes something returns a new Run.

    `version` grows by one with every write of the store. `outbox` holds the events that the audit or the topic does
    not have yet. A field that only a later release knows is kept as it is.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    request_id: str
    state: RunState = RunState.ACCEPTED
    request: MigrationRequest
    request_digest: str
    caller: str | None = None  # the verified name; in records of earlier releases the app id that Dapr gave
    actor_basis: str | None = left_out_while(None)  # how the requester is known
    actor_kind: str | None = left_out_while(None)  # whether the requester is a person, a pipeline or an agent
    # Its workflow instance is `<request_id>.<generation>`. 0: the workflow of a release that had no generations.
    generation: int = left_out_while(0)
    round: int = left_out_while(1)  # grows with each retry
    plan_digest: str | None = None
    approval: Approval | None = left_out_while(None)
    stop: Command | None = left_out_while(None)  # a pause or cancel that waits for the step under way
    compensating: bool = left_out_while(False)
    commands: list[Command] = left_out_while([])  # the last ones, oldest first
    resumed_at: datetime | None = left_out_while(None)
    accepted_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    steps: list[Step] = []
    obstacles: list[Problem] = []
    waiting_for: str | None = None  # one sentence while nothing can go on
    waiting: Waiting | None = left_out_while(None)  # the same as data, where the run is held
    standstill: Standstill | None = left_out_while(None)  # written by run recovery
    error: Problem | None = None
    # Whether the record that was read bears the coordinator's signature; None where records are not signed.
    is_signed: bool | None = Field(default=None, exclude=True)
    version: int = 1
    told: list[ToldEvent] = left_out_while([])  # events that its other fields forget
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
            actor_kind=requester.kind,
            generation=1,
            accepted_at=now,
        )
        return run.with_run_event("migration.requested", now, request_digest=digest, **run.asked)

    @property
    def instance_id(self) -> str:
        """The id of the workflow that drives it; no request id has a dot."""
        return f"{self.request_id}.{self.generation}" if self.generation else self.request_id

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
        return Actor(self.request.requested_by, self.caller, self.actor_basis, self.actor_kind)

    @property
    def running(self) -> list[Step]:
        """The steps that a service has, or may have; of a run that compensates, those being taken back."""
        if self.compensating:
            return [step for step in self.steps if step.undo is not None and not step.undo.ended]
        return [step for step in self.steps if step.state is StepState.RUNNING]

    @property
    def possible(self) -> list[Verb]:
        """The verbs that would change something now."""
        return possible(self.state, compensating=self.compensating, stop=self.stop, waiting=self.waiting)

    def public(self) -> dict[str, Any]:
        """The run as the API answers it: without the outbox, with `audit`, why it stands still, and `possible`."""
        why = standstill_sentence(self.standstill, self.waiting_for)
        signed = {} if self.is_signed is None else {"is_signed": self.is_signed}
        more = {"waiting_for": why, "audit": self.audit, "possible": [verb.value for verb in self.possible]}
        return {**self.model_dump(mode="json", exclude={"outbox"}), **more, **signed}

    def step(self, service: str) -> Step:
        """The step of this service; raises StopIteration for a service that is not part of the run."""
        return next(step for step in self.steps if step.service == service)

    def begin_step(self, service: str, now: datetime) -> Self:
        """Moves a pending step to `running` and gives it its operation id; any other step stays as it is.

        Nothing begins while a pause or a cancel waits.
        """
        step = self.step(service)
        if step.state is not StepState.PENDING or self.state is not RunState.RUNNING or self.stop or self.compensating:
            return self
        begun = step.moved(StepState.RUNNING, operation_id=step.next_operation_id(self.request_id), started_at=now)
        run = self.with_step(begun).model_copy(update=CLEARED_BY_PROGRESS)
        return run.with_step_event("migration.step_started", now, begun)

    def apply_outcome(self, service: str, outcome: Outcome, now: datetime) -> Self:
        """Writes what the service reports into its step; a step that has ended stays as it was recorded first.

        A step that was stopped for a pause is pending again, with what it has applied.
        """
        step = self.step(service)
        if step.state is not StepState.RUNNING:
            return self
        facts = outcome.facts()
        facts["applied"] = [*step.applied_before, *facts["applied"]]
        if not outcome.state.ended:
            return self.with_step(step.model_copy(update=facts))
        if outcome.state is StepState.CANCELLED and self.is_pausing:
            places = {"from_revisions": facts["to_revisions"], "to_revisions": step.to_revisions}
            run = self.remembering("migration.step_started", step)
            return run.with_step(step.model_copy(update={**facts, **places}).planned_again(step.round))
        state = outcome.state
        if state is StepState.UNCHANGED and facts["applied"]:
            state = StepState.SUCCEEDED  # by an earlier operation of this run
        # A clock that was set back since the start makes no time negative.
        passed = now - step.started_at if step.started_at else None
        duration_ms = None if passed is None else max(0, round(passed.total_seconds() * 1000))
        return self.with_ended_step(step.moved(state, finished_at=now, duration_ms=duration_ms, **facts), now)

    @property
    def is_pausing(self) -> bool:
        """Whether a pause waits for the step under way."""
        return self.stop is not None and self.stop.verb == "pause"

    @property
    def has_void_approval(self) -> bool:
        """Whether what was approved is not what would be done any more."""
        return self.approval is not None and self.approval.state == "void"

    def with_waiting_reason(self, why: str | None) -> Self:
        """The run with one sentence about what it waits for, or without one."""
        return self.model_copy(update={"waiting_for": why, "waiting": None})

    def held(self, waiting: Waiting) -> Self:
        """The run with what it is held by; what it was held by before keeps the time since when."""
        return self.model_copy(update={"waiting": waiting.after(self.waiting), "waiting_for": waiting.sentence})

    def driven_by(self, generation: int) -> Self:
        """The run as the workflow of this generation drives it; workflows of earlier ones then end."""
        return self if self.generation == generation else self.model_copy(update={"generation": generation})

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

    def with_state(self, state: RunState, **facts: Any) -> Self:
        """The run in another state, with these fields; raises IllegalMove (CM-902)."""
        if state not in MOVES[self.state]:
            raise IllegalMove(f"Run {self.request_id}", self.state, state)
        return self.model_copy(update={"state": state, **CLEARED_BY_PROGRESS, **facts})

    def with_step(self, changed: Step) -> Self:
        """The run with this step in the place of the one of the same service."""
        steps = [changed if step.service == changed.service else step for step in self.steps]
        return self.model_copy(update={"steps": steps})

    def with_ended_step(self, step: Step, now: datetime) -> Self:
        """With a step that has ended, and the event that says so."""
        return self.with_step(step).with_step_event("migration.step_finished", now, step)

    def with_run_event(
        self, event_type: str, now: datetime, *, actor: Actor | None = None, again: Sequence[str] = (), **detail: Any
    ) -> Self:
        """With an event about the whole run. `again` tells events of one type of the same round apart."""
        return self._with_outbox(
            audit.run_event(event_type, self.request_id, actor or self.actor, now, again=self._again(again), **detail)
        )

    def with_step_event(self, event_type: str, now: datetime, step: Step) -> Self:
        """With an event about one step."""
        return self._with_outbox(audit.step_event(event_type, self.request_id, self.actor, now, step))

    def _again(self, parts: Sequence[str] = ()) -> tuple[str | int, ...]:
        return (*([self.round] if self.round > 1 else []), *parts)

    def _with_outbox(self, event: AuditEvent) -> Self:
        notice = OutboxEntry(event=event, announcement=PROGRESS_EVENT_OF.get(event.event_type))
        told = self.told if event.event_type in DERIVED else [*self.told, ToldEvent.of(event)]
        return self.model_copy(update={"outbox": [*self.outbox, notice], "told": told})

    def remembering(self, event_type: str, step: Step | None = None) -> Self:
        """The run that will not forget having told this event, whatever its fields say afterwards."""
        event_id = audit.run_event_id(event_type, self.request_id, *self._again())
        if step is not None:
            event_id = audit.step_event_id(event_type, self.request_id, step)
        told = ToldEvent(event_id=event_id, event_type=event_type, service=step.service if step else None)
        return self.model_copy(update={"told": [*self.told, told]})
