"""An operation of which this replica has not seen the end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from time import monotonic

from migration_sidecar.messages import MigrationPlan, Operation
from migration_sidecar.verdict import Found

JUST_NOW_SECONDS = 1.0  # what was read when the operation was accepted is believed that long


@dataclass
class Underway:
    """Its record as it grows; `accepted` is what was read when it was accepted, where that was here."""

    record: Operation
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    accepted: Found | None = None
    since: float = field(default_factory=monotonic)

    def note(self, record: Operation) -> None:
        self.record = record

    @property
    def just_read(self) -> Found | None:
        """Holds only before any attempt; what matters is asked again under the lock."""
        return self.accepted if monotonic() - self.since < JUST_NOW_SECONDS else None


def found_by(plan: MigrationPlan) -> Found:
    """What a plan tells of a database in which the operation has done nothing yet."""
    return Found(
        revisions=plan.from_revisions,
        rows=[],
        moved=[],
        recorded=set(),
        left=len(plan.revisions),
        obstacles=plan.obstacles,
        invalid_indexes=[],
    )
