"""What became of a step, as the service's own operation tells it; an answer that cannot be true is no answer."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from coordinator.domain.step import Step, StepState
from coordinator.outages import ServiceLied
from migration_sidecar.messages import AppliedRevision, Operation, OperationState, Problem

STATES = {
    OperationState.ACCEPTED: StepState.RUNNING,
    OperationState.RUNNING: StepState.RUNNING,
    OperationState.SUCCEEDED: StepState.SUCCEEDED,
    OperationState.FAILED: StepState.FAILED,
    OperationState.CANCELLED: StepState.CANCELLED,
    OperationState.NEEDS_ATTENTION: StepState.NEEDS_ATTENTION,
}


class Outcome(BaseModel):
    """Where a step is now; `running` means that nothing is decided and the service is asked again."""

    model_config = ConfigDict(frozen=True)

    state: StepState
    attempts: int = 0
    applied: list[AppliedRevision] = []
    current_revisions: list[str] | None = None  # None: the database was not asked
    operation_ms: int | None = None
    waiting_for: str | None = None
    error: Problem | None = None

    def facts(self) -> dict[str, Any]:
        """The fields of a step that this outcome settles."""
        facts = {
            "attempts": self.attempts,
            "applied": self.applied,
            "operation_ms": self.operation_ms,
            "waiting_for": self.waiting_for,
            "error": self.error,
        }
        if self.state.ended:
            # Never where it was meant to be: a reader of the audit would take that for where it is.
            facts["to_revisions"] = self.current_revisions or []
        return facts


def read_outcome(step: Step, operation: Operation) -> Outcome:
    """Raises CM-801 when the answer is about another operation, service or database, or contradicts the plan."""
    if operation.operation_id != step.operation_id:
        raise ServiceLied(step.service, f"about the operation {operation.operation_id}, not {step.operation_id}")
    if (operation.service, operation.database) != (step.service, step.database):
        raise ServiceLied(step.service, f"as {operation.service} about the database {operation.database}")
    succeeded = operation.state is OperationState.SUCCEEDED
    if succeeded and sorted(operation.current_revisions) != sorted(step.to_revisions):
        found, expected = ", ".join(operation.current_revisions) or "nothing", ", ".join(step.to_revisions)
        raise ServiceLied(step.service, f"that it succeeded at {found} where the plan leads to {expected}")
    state = STATES[operation.state]
    return Outcome(
        state=state,
        attempts=operation.attempts,
        applied=operation.applied,
        current_revisions=operation.current_revisions,
        operation_ms=_milliseconds(operation.accepted_at, operation.finished_at),
        waiting_for=operation.waiting_for,
        error=operation.error if state is not StepState.SUCCEEDED else None,
    )


def refused(problem: Problem, current_revisions: list[str] | None = None) -> Outcome:
    """The service would not even begin."""
    return Outcome(state=StepState.FAILED, error=problem, current_revisions=current_revisions)


def nothing_conclusive(problem: Problem) -> Outcome:
    return Outcome(state=StepState.NEEDS_ATTENTION, error=problem)


def there_already(revisions: list[str]) -> Outcome:
    """Somebody else brought the database to the target between the plan and the step."""
    return Outcome(state=StepState.UNCHANGED, current_revisions=revisions)


def _milliseconds(start: datetime, end: datetime | None) -> int | None:
    return None if end is None else max(0, round((end - start).total_seconds() * 1000))
