"""Everything a report says is in here: what the coordinator's routes answered, and what was checked of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from coordinator.client.audit_verification import LiveVerdict
from coordinator.client.views import AuditEventView, Moment, RunView, StepView, View


class AppliedView(View):
    revision: str = ""
    action: str = ""
    at: Moment | None = None
    duration_ms: float | None = None
    sha256: str = ""


class ReportedStep(StepView):
    applied: list[AppliedView] = []
    planned: list[str] = []
    plan_digest: str = ""
    operation_id: str = ""


class ReportedRun(RunView):
    steps: list[ReportedStep] = []
    request_digest: str = ""

    def asked(self, field_name: str) -> Any:
        return self.request.get(field_name)


class ReportedEvent(AuditEventView):
    """One event as it stands in the audit."""

    event_id: str = ""
    recorded_at: Moment | None = None
    database: str = ""


@dataclass(frozen=True)
class Anchor:
    """One signed statement about the chain up to `seq`."""

    seq: int
    hash: str
    signed_at: str
    key_id: str
    signature: str
    line: str


@dataclass(frozen=True)
class Proof:
    """What checking one event came to; without an anchor, `trouble` says why it is not proven."""

    hash: str = ""
    anchor: Anchor | None = None
    trouble: str = ""
    forged: bool = False  # the proof contradicts what is shown, which waiting will not mend


@dataclass(frozen=True)
class Evidence:
    """What the report may claim about its events."""

    proofs: dict[str, Proof] = field(default_factory=dict)  # by event id
    chain: LiveVerdict | None = None
    keys_from: str = ""  # a file the reader chose; empty where the same server gave the keys

    def of(self, event: ReportedEvent) -> Proof:
        return self.proofs.get(event.event_id) or Proof(trouble="no proof was given")

    @property
    def anchors(self) -> list[Anchor]:
        """Each once, the oldest first."""
        found = {proof.anchor.line: proof.anchor for proof in self.proofs.values() if proof.anchor}
        return sorted(found.values(), key=lambda anchor: anchor.seq)


@dataclass(frozen=True)
class RunFacts:
    run: ReportedRun
    events: list[ReportedEvent]
    evidence: Evidence = Evidence()
    recorded: bool = True  # false where no run record is left, and all of `run` comes from the events
    disagreements: list[str] | None = None  # of record and audit; None where they could not be compared

    def first(self, *event_types: str) -> ReportedEvent | None:
        return next((event for event in self.events if event.event_type in event_types), None)

    def of_step(self, service: str, *event_types: str) -> list[ReportedEvent]:
        wanted = [event for event in self.events if event.service == service]
        return [event for event in wanted if not event_types or event.event_type in event_types]
