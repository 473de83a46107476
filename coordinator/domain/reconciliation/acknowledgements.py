"""Gaps for which an operator answers: of some kinds nothing can be mended, so a person says what came of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from coordinator.domain.reconciliation.discrepancy import Discrepancy, Kind
from coordinator.domain.reconciliation.run_matching import EVENT_TYPES
from migration_sidecar.contract.messages import RecordedAuditEvent

EVENT_TYPE = "gap.acknowledged"
# Both kinds stay for ever, because the audit takes nothing back and no record is signed afterwards.
KINDS = frozenset({Kind.CONTESTED, Kind.UNSIGNED_RECORD})


class Acknowledgement(NamedTuple):
    """Who answers for a gap, how that is known, and why."""

    seq: int  # of the event that tells of it
    at: datetime
    actor: str
    basis: str
    reason: str


def acknowledgeable(event: RecordedAuditEvent) -> Kind | None:
    """The kind of gap that `audit reconcile` may find by this event and that can be acknowledged; None for others."""
    if event.event_type == "audit.conflict":
        return Kind.CONTESTED
    return Kind.UNSIGNED_RECORD if event.event_type in EVENT_TYPES else None


@dataclass
class Acknowledgements:
    """Takes the events that tell of them. Each is about one gap: its kind, and the event by which it was found."""

    _about: dict[tuple[str, int], Acknowledgement] = field(default_factory=dict)

    def add(self, event: RecordedAuditEvent) -> None:
        """Takes an event of the coordinator; others than acknowledgements, and those of nobody, say nothing."""
        gap, seq, reason = (event.detail.get(name) for name in ("gap", "about_seq", "reason"))
        is_one = event.event_type == EVENT_TYPE and isinstance(gap, str) and gap in KINDS and bool(event.actor)
        # Nobody can answer for what has not happened yet.
        if is_one and type(seq) is int and seq < event.seq:
            basis = str(event.detail.get("actor_basis"))
            told = Acknowledgement(event.seq, event.occurred_at, str(event.actor), basis, str(reason or ""))
            self._about[str(gap), seq] = told

    def of(self, gap: Discrepancy) -> Acknowledgement | None:
        """The newest acknowledgement of this gap."""
        return self._about.get((gap.kind.value, gap.seq)) if gap.seq is not None else None
