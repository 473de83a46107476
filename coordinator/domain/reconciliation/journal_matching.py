"""Journals against the audit, in both directions: first by event id, then by content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from coordinator.domain.reconciliation.declarations import Declarations, Reason
from coordinator.domain.reconciliation.discrepancy import Discrepancy, Kind
from coordinator.domain.reconciliation.fingerprint import Fingerprint, differences, fingerprint
from coordinator.domain.reconciliation.journal_continuity import EFFECTS, JournalContinuity
from coordinator.domain.reconciliation.run_effects import Effect, effect_of
from migration_sidecar.contract.journal import HistoryPosition, JournalEntry, JournalPage
from migration_sidecar.contract.messages import AuditEvent, RecordedAuditEvent

# Far above the seconds after which a relay whose audit can be reached has sent a row.
GRACE_SECONDS = 60.0
JOURNAL = "/journal"  # ends the `source` of events from a journal, after the name of the service


@dataclass(slots=True)
class Row:
    """A journal row whose event the audit should have; `fingerprint` becomes None once matched."""

    service: str
    source: str
    description: str
    fingerprint: Fingerprint | None
    at: datetime
    relayed: bool
    seconds_ago: float


@dataclass(slots=True)
class UnmatchedEvent:
    """An audit event for which no journal row was found yet."""

    service: str
    seq: int
    event_type: str
    source: str
    named_service: str | None  # the service that the event itself names
    database: str | None
    fingerprint: Fingerprint


@dataclass
class JournalMatcher:
    """Matches rows and events in any order. It keeps about 700 bytes per row, and a third once the row is matched."""

    rows: dict[UUID, Row] = field(default_factory=dict)
    unmatched: dict[UUID, UnmatchedEvent] = field(default_factory=dict)
    continuities: dict[str, JournalContinuity] = field(default_factory=dict)
    positions: dict[str, list[HistoryPosition]] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, list[Discrepancy]] = field(default_factory=dict)
    effects: dict[str, set[Effect]] = field(default_factory=dict)
    operations: dict[str, Counter[str]] = field(default_factory=dict)  # rows of each that tell of a changed version
    content_mismatches: list[Discrepancy] = field(default_factory=list)
    declared: Declarations = field(default_factory=Declarations)
    accepted: Counter[Reason] = field(default_factory=Counter)
    _looked_for: set[UUID] = field(default_factory=set)

    def begin(self, service: str) -> None:
        """Starts or restarts the journal of a service; its rows then come from the first one on."""
        self.continuities[service], self.positions[service], self.counted[service] = JournalContinuity(service), [], 0
        self.unreadable[service], self.effects[service], self.operations[service] = [], set(), Counter()

    def exclude(self, service: str) -> None:
        """Forgets a journal that could not be read to its end: half of a journal proves nothing."""
        told = (self.continuities, self.positions, self.counted, self.unreadable, self.effects, self.operations)
        for per_service in told:
            per_service.pop(service)
        self.rows = {event_id: row for event_id, row in self.rows.items() if row.service != service}

    def add_entry(self, page: JournalPage) -> None:
        """Takes the next page of the journal of its service."""
        self.positions[page.service] = page.positions
        for entry in page.entries:
            self.counted[page.service] += 1
            self.continuities[page.service].add(entry)
            if (effect := effect_of(entry)) is not None:
                self.effects[page.service].add(effect)
            self.operations[page.service][entry.operation_id] += entry.kind in EFFECTS
            if entry.event is not None and (row_fingerprint := _fingerprint_of(entry.event)) is not None:
                self._expect(page.service, entry, entry.event, row_fingerprint)
            elif entry.is_sent:
                self.unreadable[page.service].append(_unreadable(page.service, entry))

    def add_audit_event(self, service: str, event: RecordedAuditEvent) -> None:
        """Takes an audit event that says it came from the journal of this service."""
        self.unmatched[event.event_id] = UnmatchedEvent(
            service, event.seq, event.event_type, event.source, event.service, event.database, fingerprint(event)
        )
        self._match(event.event_id)

    def to_look_for(self) -> set[str]:
        """Services whose journals must be read again, because the audit has events younger than the last reading."""
        new = self.unmatched.keys() - self._looked_for
        self._looked_for |= new
        return {self.unmatched[event_id].service for event_id in new} & self.continuities.keys()

    @property
    def on_their_way(self) -> int:
        """How many rows may still arrive in the audit."""
        return sum(_may_still_arrive(row) for row in self.rows.values() if row.fingerprint is not None)

    def sealed(self, until: datetime | None) -> int:
        """How many rows are older than the audit's oldest event outside sealed segments."""
        return sum(_is_sealed(row, until) for row in self.rows.values() if row.fingerprint is not None)

    def gaps(self, sealed_until: datetime | None = None) -> Iterator[Discrepancy]:
        """What does not match; call it once everything is read."""
        yield from self.content_mismatches
        for event_id, row in self.rows.items():
            if row.fingerprint is not None and not (_may_still_arrive(row) or _is_sealed(row, sealed_until)):
                yield _not_in_audit(event_id, row)
        for event_id, event in self.unmatched.items():
            if event.service in self.continuities:
                yield _not_in_journal(event_id, event)
        for service, continuity in self.continuities.items():
            yield from self.unreadable[service]
            yield from continuity.gaps(self.positions[service])

    def _expect(self, service: str, entry: JournalEntry, event: AuditEvent, row_fingerprint: Fingerprint) -> None:
        event_id, at = event.event_id, event.occurred_at
        known = self.rows.get(event_id)
        if known is not None:
            known.relayed, known.seconds_ago = entry.relayed, entry.seconds_ago
            return
        description = f"{entry.kind} {entry.revision or f'of {entry.operation_id}'}"
        self.rows[event_id] = Row(
            service, event.source, description, row_fingerprint, at, entry.relayed, entry.seconds_ago
        )
        self._match(event_id)

    def _match(self, event_id: UUID) -> None:
        row, event = self.rows.get(event_id), self.unmatched.get(event_id)
        if row is None or event is None:
            return
        names = differences(row.fingerprint, event.fingerprint) if row.fingerprint is not None else []
        if names and not self._is_explained(row, event, set(names)):
            self.content_mismatches.append(_other_content(event_id, row, event, names))
        row.fingerprint = None
        del self.unmatched[event_id]

    def _is_explained(self, row: Row, event: UnmatchedEvent, names: set[str]) -> bool:
        """Whether a former name of the service explains the difference; a row that names its service must agree."""
        name, database = event.source.removesuffix(JOURNAL), event.database
        names_itself = row.source != row.service + JOURNAL and names & {"source", "service"}
        if names_itself or event.named_service != name or not self.declared.allows(row.service, name, database, names):
            return False
        if "database" in names:
            self.accepted[Reason(row.service, f"its database was called {database} before")] += 1
        return True


def _fingerprint_of(event: AuditEvent) -> Fingerprint | None:
    """None if its time does not exist in UTC: a service in another language may have accepted it."""
    try:
        return fingerprint(event)
    except (OverflowError, ValueError):
        return None


def _may_still_arrive(row: Row) -> bool:
    return not row.relayed and row.seconds_ago <= GRACE_SECONDS


def _is_sealed(row: Row, until: datetime | None) -> bool:
    return until is not None and row.relayed and row.at < until


def _unreadable(service: str, entry: JournalEntry) -> Discrepancy:
    return Discrepancy(
        kind=Kind.UNREADABLE_ROW,
        sentence=f"{service}: the journal row {entry.seq} ({entry.kind}) cannot be read, and so is not in the audit.",
        service=service,
    )


def _not_in_audit(event_id: UUID, row: Row) -> Discrepancy:
    if row.relayed:
        why = "was handed over, and the audit does not have it: an audit row was removed, or it was never stored."
    else:
        why = f"is {row.seconds_ago:.0f} s old and was never handed over: look at the service's log for its relay."
    return Discrepancy(
        kind=Kind.NOT_IN_AUDIT if row.relayed else Kind.NEVER_SENT,
        sentence=f"{row.service}: the journal row “{row.description}” {why}",
        service=row.service,
        event_id=str(event_id),
    )


def _not_in_journal(event_id: UUID, event: UnmatchedEvent) -> Discrepancy:
    return Discrepancy(
        kind=Kind.NOT_IN_JOURNAL,
        sentence=f"{event.service}: audit event {event.seq} ({event.event_type}) is said to be from its"
        " journal, which has no such row: a journal row was removed, or the event was forged.",
        service=event.service,
        event_id=str(event_id),
        seq=event.seq,
    )


def _other_content(event_id: UUID, row: Row, event: UnmatchedEvent, names: list[str]) -> Discrepancy:
    return Discrepancy(
        kind=Kind.OTHER_CONTENT,
        sentence=f"{row.service}: audit event {event.seq} tells the journal row “{row.description}” otherwise; what"
        f" differs: {', '.join(names)}.",
        service=row.service,
        event_id=str(event_id),
        seq=event.seq,
    )
