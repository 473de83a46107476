"""What a service is to do for one step: the way forward, or the way back of a compensation."""

from __future__ import annotations

from typing import NamedTuple, Self

from coordinator.domain.changes.compensation import target_of_undo
from coordinator.domain.run import Run
from coordinator.domain.step import Step
from coordinator.ports import ServiceAddress
from migration_sidecar.contract.messages import Action


class Assignment(NamedTuple):
    """One operation of one service. `step` says from where to where, under which id, and as which plan."""

    request_id: str
    requested_by: str
    action: Action
    step: Step

    @property
    def address(self) -> ServiceAddress:
        """Which service, and which database it must mean."""
        return ServiceAddress(self.step.service, self.step.database)

    @classmethod
    def of(cls, run: Run, service: str) -> Self:
        """What the request asks of this service."""
        return cls(run.request_id, run.request.requested_by, run.request.alembic_action, run.step(service))

    @classmethod
    def taking_back(cls, run: Run, service: str) -> Self:
        """What the run applied to this service's database, in the other direction."""
        step = run.step(service)
        if step.undo is None:
            raise ValueError(f"no way back was begun for {service}")
        back = {
            "operation_id": step.undo.operation_id,
            "target": target_of_undo(step) or "",
            "from_revisions": step.to_revisions,
            "to_revisions": step.undo.to_revisions,
            "planned": [each.revision for each in reversed(step.applied)],
            "plan_digest": step.undo.plan_digest,
            "applied": [],
            "applied_before": [],
            "attempts": 0,
        }
        return cls(run.request_id, run.request.requested_by, Action.DOWNGRADE, step.model_copy(update=back))
