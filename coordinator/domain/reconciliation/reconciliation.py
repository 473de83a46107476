"""The whole comparison: each audit event goes to the matcher of its source; an unknown source is a discrepancy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from coordinator.domain.audit_events import SOURCE
from coordinator.domain.reconciliation.acknowledgements import Acknowledgement, Acknowledgements
from coordinator.domain.reconciliation.declarations import Declarations, Left, Reason
from coordinator.domain.reconciliation.discrepancy import Discrepancy, Kind
from coordinator.domain.reconciliation.journal_matching import JOURNAL, JournalMatcher
from coordinator.domain.reconciliation.run_effects import RunEffects
from coordinator.domain.reconciliation.run_matching import EVENT_TYPES, RunMatcher
from coordinator.domain.run import Run
from migration_sidecar.contract.messages import RecordedAuditEvent

AUDIT_SOURCE = "cas-audit"
CONFLICT = "audit.conflict"
OWN_EVENT_TYPES = {"audit.segment_sealed", "audit.segment_retired", "audit.key_removed", "audit.key_replaced"}


@dataclass
class Reconciliation:
    """The comparison of one fleet.

    `fleet` holds all services of the catalog, also those whose journals are not read.
    """

    fleet: frozenset[str]
    journal_matcher: JournalMatcher = field(default_factory=JournalMatcher)
    run_matcher: RunMatcher = field(default_factory=RunMatcher)
    run_effects: RunEffects = field(default_factory=RunEffects)
    events: int = 0
    last_seq: int = 0
    has_sealed_segments: bool = False  # their events are not read; the audit verifies their seals itself
    oldest: datetime | None = None
    declared: Declarations = field(default_factory=Declarations)
    _accepted: Counter[Reason] = field(default_factory=Counter)
    uncheckable: Counter[str] = field(default_factory=Counter)  # event types of which no other record exists
    _contested: list[Discrepancy] = field(default_factory=list)
    _unknown_sources: list[Discrepancy] = field(default_factory=list)
    _acknowledgements: Acknowledgements = field(default_factory=Acknowledgements)

    def __post_init__(self) -> None:
        self.journal_matcher.declared = self.run_effects.declared = self.declared

    def add_run(self, run: Run, *, owed: bool) -> None:
        """Takes a run record as it is now; read again, it replaces the older one. `owed`: its outbox is not empty."""
        self.run_matcher.add_run(run, owed=owed)
        self.run_effects.add_run(run)

    def add_audit_event(self, event: RecordedAuditEvent, *, sealed: bool = False) -> None:
        """Takes one audit event. They come in order, each once; those of sealed segments come first."""
        self.events, self.last_seq = self.events + 1, event.seq
        self.oldest = self.oldest or (None if sealed else event.recorded_at)
        name = event.source.removesuffix(JOURNAL)
        if event.source == SOURCE:
            if event.event_type in EVENT_TYPES:
                self.run_matcher.add_audit_event(event)
            else:
                self.uncheckable[event.event_type] += 1
                self._acknowledgements.add(event)
        elif event.source.endswith(JOURNAL):
            self._add_audit_event(name, event)
        elif event.source == AUDIT_SOURCE and event.event_type == CONFLICT:
            self._contested.append(_contested(event))
        elif event.source != AUDIT_SOURCE or event.event_type not in OWN_EVENT_TYPES:
            self._unknown_sources.append(_unknown_source(event))

    def _add_audit_event(self, name: str, event: RecordedAuditEvent) -> None:
        """Compares an event with the journal that it names; without that journal, the catalog may explain it."""
        service, left = self.declared.today(name), self.declared.left.get(name)
        if name in self.declared.without_database:
            self._accepted[Reason(name, f"no database: {self.declared.without_database[name]}")] += 1
        elif service in self.fleet:
            self.journal_matcher.add_audit_event(service, event)
            if service != name:
                self._accepted[Reason(name, f"former name of {service}")] += 1
        elif left is not None and event.recorded_at < left.until:
            self._accepted[Reason(name, f"left the fleet: {left.reason}")] += 1
        else:
            self._unknown_sources.append(_unknown_source(event, left))

    @property
    def accepted(self) -> dict[Reason, int]:
        """How many events were accepted only because the catalog says something of their names."""
        return dict(sorted((self._accepted + self.journal_matcher.accepted).items()))

    @property
    def conflicts(self) -> int:
        """How many events the audit refused because it knew their ids with another content."""
        return len(self._contested)

    @property
    def known_by_journal_alone(self) -> dict[str, int]:
        """By service, how many rows that changed a version only its own journal, and what it told the audit, know."""
        return self.run_effects.known_by_journal_alone(self.journal_matcher.operations)

    def journals_to_look_for(self) -> set[str]:
        """Services whose journals must be read again: the audit or a run record tells what they did not have yet."""
        return self.journal_matcher.to_look_for() | self.run_effects.to_look_for(self.journal_matcher.effects)

    @property
    def on_their_way(self) -> int:
        """How many events may still arrive in the audit."""
        return self.journal_matcher.on_their_way + self.run_matcher.on_their_way

    @property
    def sealed(self) -> int:
        """How many expected events only a sealed segment can account for; its file tells which."""
        return self.journal_matcher.sealed(self._sealed_until) + self.run_matcher.sealed(self._sealed_until)

    @property
    def _sealed_until(self) -> datetime | None:
        if not self.has_sealed_segments:
            return None
        return self.oldest or datetime.max.replace(tzinfo=UTC)

    def gaps(self) -> Iterator[Discrepancy]:
        """Everything that does not match and that nobody answers for; call it once everything is read."""
        return (gap for gap in self._found() if self._acknowledgements.of(gap) is None)

    def acknowledged(self) -> Iterator[tuple[Discrepancy, Acknowledgement]]:
        """What does not match, and who answers for it; call it once everything is read."""
        for gap in self._found():
            if (acknowledgement := self._acknowledgements.of(gap)) is not None:
                yield gap, acknowledgement

    def _found(self) -> Iterator[Discrepancy]:
        yield from self.journal_matcher.gaps(self._sealed_until)
        yield from self.run_matcher.gaps(self._sealed_until)
        yield from self.run_effects.gaps(self.journal_matcher.effects)
        yield from self._contested
        yield from self._unknown_sources


def _contested(conflict: RecordedAuditEvent) -> Discrepancy:
    told, differing = conflict.detail, conflict.detail.get("differing")
    names = f"; what differs: {', '.join(map(str, differing))}" if isinstance(differing, list) else ""
    return Discrepancy(
        kind=Kind.CONTESTED,
        sentence=f"Audit event {told.get('seq')} was told a second time with another content{names}. The second telling"
        f" was refused (audit event {conflict.seq} says so): one of the two was forged or sent by mistake.",
        service=conflict.service,
        request_id=conflict.request_id,
        event_id=str(told.get("event_id")),
        seq=conflict.seq,
    )


def _unknown_source(event: RecordedAuditEvent, left: Left | None = None) -> Discrepancy:
    who = (
        f"which had left the fleet by {left.until:%Y-%m-%d %H:%M} UTC, and this was recorded later: the event was"
        " forged, or `left` in former_services of fleet.toml is too early."
        if left is not None
        else "which is nobody in this fleet: the event was forged, or a service was renamed or has left the fleet"
        " (former_names, former_services in fleet.toml)."
    )
    return Discrepancy(
        kind=Kind.UNKNOWN_SOURCE,
        sentence=f"Audit event {event.seq} ({event.event_type}) is said to be from {event.source!a}, {who}",
        service=event.service,
        request_id=event.request_id,
        event_id=str(event.event_id),
        seq=event.seq,
    )
