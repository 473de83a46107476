"""An operation of which this replica has not seen the end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from migration_sidecar.contract.messages import MigrationPlan, Operation, OperationRequest, OperationState
from migration_sidecar.engine.operations.operation_watch import Standing
from migration_sidecar.engine.operations.verdict import Found
from migration_sidecar.protocol.origin import Origin

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

    def just_read(self, stored: Standing | None) -> Found | None:
        """Holds for a moment and before any attempt, whoever made it; what matters is asked again under the lock."""
        untouched = stored is not None and not stored.attempted
        return self.accepted if untouched and monotonic() - self.since < JUST_NOW_SECONDS else None


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


def first_record(request: OperationRequest, plan: MigrationPlan) -> Operation:
    return Operation(
        operation_id=request.operation_id,
        service=plan.service,
        database=plan.database,
        action=request.action,
        target=request.target,
        state=OperationState.ACCEPTED,
        from_revisions=plan.from_revisions,
        current_revisions=plan.from_revisions,
        accepted_at=datetime.now(UTC),
    )


def facts_to_log(ended: Operation, way_in: Origin) -> dict[str, Any]:
    return {
        "service": ended.service,
        "operation": ended.operation_id,
        "way_in": way_in,
        "state": ended.state.value,
        "applied": [each.revision for each in ended.applied],
        "at": ended.current_revisions,
        **({"error": ended.error.full_detail} if ended.error else {}),
    }
