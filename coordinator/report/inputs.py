"""The facts that a report is made of: the coordinator's answers, and the results of the checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from coordinator.client.audit_verification import LiveVerdict
from coordinator.client.audit_views import AuditEventView
from coordinator.client.views import Moment, RunView, StepView, View


class AppliedView(View):
    """One revision that a step applied, as the run record has it."""

    revision: str = ""
    action: str = ""
    at: Moment | None = None
    duration_ms: float | None = None
    sha256: str = ""


class ReportedStep(StepView):
    """A step with the fields that only a report shows."""

    applied: list[AppliedView] = []
    planned: list[str] = []
    plan_digest: str = ""
    operation_id: str = ""


class ReportedRun(RunView):
    """A run record with the fields that only a report shows."""

    steps: list[ReportedStep] = []
    request_digest: str = ""
    is_signed: bool | None = None  # whether its record bears the coordinator's signature, where records do

    def asked(self, field_name: str) -> Any:
        """A field of the request; None if the request does not have it."""
        return self.request.get(field_name)


class ReportedEvent(AuditEventView):
    """An audit event with the fields that only a report shows."""

    event_id: str = ""
    recorded_at: Moment | None = None
    database: str = ""


@dataclass(frozen=True)
class Anchor:
    """The audit's signature on its chain up to event number `seq`. `line` is the signed text itself."""

    seq: int
    hash: str
    signed_at: str
    key_id: str
    signature: str
    line: str


@dataclass(frozen=True)
class Proof:
    """The result of checking one event. Without an anchor the event is not proven, and `trouble` says why."""

    hash: str = ""
    anchor: Anchor | None = None
    trouble: str = ""
    forged: bool = False  # the proof contradicts the event; asking later does not help


@dataclass(frozen=True)
class Evidence:
    """What was checked about the events of a run, and with which keys."""

    proofs: dict[str, Proof] = field(default_factory=dict)  # by event id
    chain: LiveVerdict | None = None
    keys_from: str = ""  # name of the file with the keys; empty if the server sent the keys

    def of(self, event: ReportedEvent) -> Proof:
        """The proof of this event; without one, a Proof that says so."""
        return self.proofs.get(event.event_id) or Proof(trouble="no proof was given")

    @property
    def anchors(self) -> list[Anchor]:
        """The anchors of all proofs, each once, the oldest first."""
        by_line = {proof.anchor.line: proof.anchor for proof in self.proofs.values() if proof.anchor}
        return sorted(by_line.values(), key=lambda anchor: anchor.seq)


@dataclass(frozen=True)
class RunFacts:
    """Everything that is known of one run; each section of the report reads it."""

    run: ReportedRun
    events: list[ReportedEvent]
    evidence: Evidence = Evidence()
    recorded: bool = True  # false where no run record is left, and all of `run` comes from the events
    disagreements: list[str] | None = None  # of record and audit; None where they could not be compared

    def first(self, *event_types: str) -> ReportedEvent | None:
        """The first event of one of these types."""
        return next((event for event in self.events if event.event_type in event_types), None)

    def of_step(self, service: str, *event_types: str) -> list[ReportedEvent]:
        """The events of one service, of these types or of all types."""
        events = [event for event in self.events if event.service == service]
        return [event for event in events if not event_types or event.event_type in event_types]
