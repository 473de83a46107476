"""Run records against the audit's events of the same runs. This is the only place that compares them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from coordinator.domain.audit_events import run_event_id, step_event_id
from coordinator.domain.outbox import DERIVED
from coordinator.domain.reconciliation.discrepancy import Discrepancy, Kind
from coordinator.domain.reconciliation.record_signatures import RecordSignatures
from coordinator.domain.reconciliation.run_facts import (
    Facts,
    Told,
    differing,
    hides_how_the_actor_is_known,
    told_before,
    told_by,
)
from coordinator.domain.run import Run
from coordinator.domain.run_state import RunState
from coordinator.domain.step import Step
from migration_sidecar.contract.audit_detail import revision_list
from migration_sidecar.contract.messages import RecordedAuditEvent
from migration_sidecar.contract.request_id import REQUEST_ID

# Of these a run record answers for every single one; refusals and conflicts leave no run behind.
EVENT_TYPES = DERIVED | {
    "migration.approval_awaited",
    "migration.approval_void",
    "migration.approved",
    "migration.cancel_requested",
    "migration.compensation_started",
    "migration.pause_requested",
    "migration.paused",
    "migration.plan_rejected",
    "migration.resumed",
    "migration.retried",
    "migration.step_compensated",
}


class Expected(NamedTuple):
    """An event that a run record says was recorded, and what it must tell."""

    request_id: str
    event_type: str
    service: str | None
    told: Told
    accepted_at: datetime
    owed: bool = False  # the coordinator itself says that it has not delivered everything yet


@dataclass
class RunMatcher:
    """Matches records and events in any order. It keeps some ten kilobytes for each run that the coordinator knows."""

    expected: dict[UUID, Expected] = field(default_factory=dict)
    unmatched: dict[UUID, RecordedAuditEvent] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    absent: set[str] = field(default_factory=set)
    content_mismatches: list[Discrepancy] = field(default_factory=list)
    without_actor_basis: int = 0  # events of the first release, which did not write it
    signatures: RecordSignatures = field(default_factory=RecordSignatures)
    _matched: set[UUID] = field(default_factory=set)
    _looked_for: set[UUID] = field(default_factory=set)

    def add_run(self, run: Run, *, owed: bool) -> None:
        """Takes a record as it is now; read again, it replaces the older one. `owed`: its outbox is not empty."""
        self.known.add(run.request_id)
        self.signatures.add_run(run)
        for key, expected in expected_of(run, owed=owed).items():
            if key not in self._matched:
                self.expected[key] = expected
                self._match(key)

    def has_no_record(self, request_id: str) -> None:
        """Notes that the coordinator knows no run of this id."""
        self.absent.add(request_id)

    def add_audit_event(self, event: RecordedAuditEvent) -> None:
        """Takes an audit event of one of `EVENT_TYPES`."""
        self.unmatched[event.event_id] = event
        self._match(event.event_id)

    def to_look_for(self) -> set[str]:
        """Runs whose records must be read, or read again: the audit has events that no record explains so far.

        A name that cannot be a request id has no record to ask for: an event with it is forged.
        """
        new = self.unmatched.keys() - self._looked_for
        self._looked_for |= new
        return {name for key in new if REQUEST_ID.fullmatch(name := self.unmatched[key].request_id or "")}

    def still_in_outbox(self) -> set[str]:
        """Runs of which the coordinator still has events to deliver."""
        return {each.request_id for each in self.expected.values() if each.owed}

    @property
    def on_their_way(self) -> int:
        """How many events the coordinator still has to deliver."""
        return sum(each.owed for each in self.expected.values())

    def sealed(self, until: datetime | None) -> int:
        """How many missing events belong to runs that began before `until`, so that a sealed segment may hold them."""
        return sum(_is_sealed(each, until) for each in self.expected.values())

    def gaps(self, sealed_until: datetime | None = None) -> Iterator[Discrepancy]:
        """What does not match; call it once everything is read."""
        yield from self.content_mismatches
        for key, each in self.expected.items():
            if not (each.owed or _is_sealed(each, sealed_until)):
                yield _not_in_audit(key, each)
        for event in self.unmatched.values():
            yield self._not_in_record(event)
        yield from self.signatures.gaps()

    def _match(self, key: UUID) -> None:
        expected, event = self.expected.get(key), self.unmatched.get(key)
        if expected is None or event is None:
            return
        self.without_actor_basis += hides_how_the_actor_is_known(event, expected.told)
        if names := differing(event, expected.told):
            self.content_mismatches.append(_other_content(event, names))
        self.signatures.add_event(expected.request_id, event.seq)
        del self.expected[key], self.unmatched[key]
        self._matched.add(key)

    def _not_in_record(self, event: RecordedAuditEvent) -> Discrepancy:
        if (event.request_id or "") in self.known:
            return _gap(Kind.NOT_OF_THE_RUN, event, "which its record knows nothing of: the event was forged.")
        return _gap(
            Kind.NO_RUN_RECORD,
            event,
            "of which there is no record: it was removed from Dapr state, or the event was forged.",
        )


def expected_of(run: Run, *, owed: bool = False) -> dict[UUID, Expected]:
    """Every event that a record accounts for, by its deterministic id, with the facts it must have."""
    expected_events: dict[UUID, Expected] = {}

    def expect(event_type: str, facts: Facts, step: Step | None = None) -> None:
        service = step.service if step else None
        expected_facts = {"event_type": event_type, "request_id": run.request_id, "service": service, **facts}
        again = [run.round] if run.round > 1 and event_type != "migration.requested" else []
        key = run_event_id(event_type, run.request_id, *again)
        if step is not None:
            key = step_event_id(event_type, run.request_id, step)
        expected_events[key] = Expected(
            run.request_id, event_type, service, told_by(run, event_type, expected_facts, step), run.accepted_at, owed
        )

    expect("migration.requested", {"detail.request_digest": run.request_digest})
    if run.started_at is not None:
        expect("migration.started", {"detail.plan_digest": run.plan_digest})
    for step in run.steps:
        place: Facts = {"database": step.database, "from_revision": revision_list(step.from_revisions)}
        if run.state is RunState.PLANNED:
            expect("migration.step_planned", place, step)
        # A step that waits to be begun again remembers its earlier operations.
        if step.operation_id and step.started_at is not None:
            expect("migration.step_started", place, step)
        # What became of a step that was taken back replaces how it ended, which the record remembers.
        if step.state.ended and step.undo is None and run.state is not RunState.PLANNED:
            expect("migration.step_finished", {**place, **_end(step)}, step)
    if run.state.terminal:
        expect("migration.finished", {"outcome": run.state.value})
    for told in run.told:
        facts = told_before(run.request_id, told)
        expected_events[told.event_id] = Expected(
            run.request_id, told.event_type, told.service, facts, run.accepted_at, owed
        )
    return expected_events


def _end(step: Step) -> Facts:
    return {
        "outcome": step.state.value,
        "to_revision": revision_list(step.to_revisions),
        "duration_ms": step.duration_ms,
    }


def _is_sealed(each: Expected, until: datetime | None) -> bool:
    return until is not None and not each.owed and each.accepted_at < until


def _not_in_audit(key: UUID, each: Expected) -> Discrepancy:
    about = f"{each.event_type} of {each.service}" if each.service else each.event_type
    return Discrepancy(
        kind=Kind.RUN_NOT_IN_AUDIT,
        sentence=f"Run {each.request_id}: its record says that {about} was recorded, and the audit does not have it.",
        request_id=each.request_id,
        service=each.service,
        event_id=str(key),
    )


def _other_content(event: RecordedAuditEvent, names: list[str]) -> Discrepancy:
    return _gap(Kind.OTHER_CONTENT, event, f"which its record tells otherwise; what differs: {', '.join(names)}.")


def _gap(kind: Kind, event: RecordedAuditEvent, rest: str) -> Discrepancy:
    return Discrepancy(
        kind=kind,
        sentence=f"Run {event.request_id}: audit event {event.seq} is a {event.event_type}, {rest}",
        request_id=event.request_id,
        service=event.service,
        event_id=str(event.event_id),
        seq=event.seq,
    )
