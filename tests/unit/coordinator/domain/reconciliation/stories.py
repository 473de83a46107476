"""Made-up fleets whose journals and audit agree, as lists that a test may then harm."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from coordinator.domain.reconciliation.reconciliation import Reconciliation
from migration_sidecar.contract.journal import HistoryPosition, JournalEntry, JournalPage
from migration_sidecar.contract.messages import AuditEvent, RecordedAuditEvent

START = datetime(2026, 1, 1, tzinfo=UTC)
EVENT_TYPES = {
    "attempt": "attempt.started",
    "nontx_started": "revision.started",
    "applied": "revision.applied",
    "reverted": "revision.reverted",
    "stamped": "revision.stamped",
    "failed": "attempt.failed",
    "cancelled": "attempt.cancelled",
    "resolved": "attempt.resolved",
}


@dataclass
class Story:
    """`entries` are journal rows by service, `events` the audit; both in their order, and so far they agree."""

    entries: dict[str, list[JournalEntry]]
    positions: dict[str, list[HistoryPosition]]
    events: list[RecordedAuditEvent]

    def reconciled(self, page: int = 3) -> Reconciliation:
        found = Reconciliation(frozenset(self.entries))
        for service, entries in self.entries.items():
            found.journal_matcher.begin(service)
            for start in range(0, max(len(entries), 1), page):
                found.journal_matcher.add_entry(self.page(service, entries[start : start + page]))
        for event in self.events:
            found.add_audit_event(event)
        return found

    def page(self, service: str, entries: list[JournalEntry]) -> JournalPage:
        positions = self.positions[service]
        return JournalPage(service=service, database=f"{service}_db", entries=entries, positions=positions)


@dataclass
class Narrator:
    """Lets one service migrate up and down, with failures between; every choice comes from `chance`."""

    service: str
    chance: random.Random
    entries: list[JournalEntry] = field(default_factory=list)
    height: int = 0
    seq: int = 0
    operation: str = ""
    attempt: int = 0
    moment: int = 0

    def live(self, operations: int) -> None:
        for number in range(operations):
            self.operation, self.attempt = f"op-{number}", 0
            for _ in range(self.chance.randint(0, 2)):
                self._attempt(self.chance.choice(["failed", "cancelled", "resolved"]))
            self._attempt(None)

    def _attempt(self, ending: str | None) -> None:
        self.attempt += 1
        self._write("attempt")
        down = self.height > 0 and self.chance.random() < 0.3
        steps = self.chance.randint(1, self.height) if down else self.chance.randint(1, 3)
        for _ in range(steps if ending is None else self.chance.randint(0, steps)):
            self._step(down)
        if ending is not None:
            self._write(ending)

    def _step(self, down: bool) -> None:
        before = self.height
        self.height += -1 if down else 1
        revision = f"r{max(before, self.height)}"
        self._write("started", revision)
        kind = "reverted" if down else "applied"
        self._write(kind, revision, before=_heads(before), heads=_heads(self.height))

    def _write(self, kind: str, revision: str | None = None, **facts: Any) -> None:
        # Rolled-back rows burn numbers, so a sequence with holes is the normal case.
        self.seq += self.chance.randint(1, 3)
        self.moment += 1
        self.entries.append(
            JournalEntry(
                seq=self.seq,
                kind=kind,
                history="alembic_version",
                operation_id=self.operation,
                attempt=self.attempt,
                revision=revision,
                operation_state="succeeded",
                relayed=True,
                seconds_ago=100,
                is_sent=kind != "started",
                event=None if kind == "started" else self._event(kind, revision),
                **facts,
            )
        )

    def _event(self, kind: str, revision: str | None) -> AuditEvent:
        return AuditEvent(
            event_id=UUID(int=self.chance.getrandbits(128)),
            event_type=EVENT_TYPES[kind],
            occurred_at=START + timedelta(seconds=self.moment),
            source=f"{self.service}/journal",
            service=self.service,
            database=f"{self.service}_db",
            actor="ada",
            outcome=kind,
            duration_ms=self.moment,
            detail={"operation_id": self.operation, "attempt": self.attempt, "revision": revision},
        )


def told(seed: int, services: int = 2, operations: int = 3) -> Story:
    chance = random.Random(seed)
    narrators = [Narrator(f"s{number}", chance) for number in range(services)]
    for narrator in narrators:
        narrator.live(operations)
    events = [entry.event for narrator in narrators for entry in narrator.entries if entry.event]
    chance.shuffle(events)  # the audit's order over several services is anything
    return Story(
        entries={one.service: one.entries for one in narrators},
        positions={one.service: [position(_heads(one.height))] for one in narrators},
        events=[recorded(event, seq) for seq, event in enumerate(events, 1)],
    )


def position(revisions: list[str]) -> HistoryPosition:
    return HistoryPosition(history="alembic_version", revisions=revisions)


def recorded(event: AuditEvent, seq: int) -> RecordedAuditEvent:
    return RecordedAuditEvent(**event.model_dump(), seq=seq, recorded_at=START)


def _heads(height: int) -> list[str]:
    return [f"r{height}"] if height else []
