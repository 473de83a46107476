"""An operation that has just been accepted."""

from __future__ import annotations

from datetime import UTC, datetime

from migration_sidecar.contract.messages import Action, Operation, OperationState

RECORD = Operation(
    operation_id="op-1",
    service="orders",
    database="orders",
    action=Action.UPGRADE,
    target="head",
    state=OperationState.ACCEPTED,
    from_revisions=[],
    current_revisions=[],
    accepted_at=datetime.now(UTC),
)
