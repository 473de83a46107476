"""Turns a service's answer about its operation into the outcome of a step, or refuses an answer that cannot be true."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from coordinator.domain.plan import nothing_to_do
from coordinator.domain.step import Step, StepState
from coordinator.errors import ServiceLied, SucceededOnOtherDatabase
from migration_sidecar.contract.messages import AppliedRevision, MigrationPlan, Operation, OperationState, Problem

STEP_STATE_OF = {
    OperationState.ACCEPTED: StepState.RUNNING,
    OperationState.RUNNING: StepState.RUNNING,
    OperationState.SUCCEEDED: StepState.SUCCEEDED,
    OperationState.FAILED: StepState.FAILED,
    OperationState.CANCELLED: StepState.CANCELLED,
    OperationState.NEEDS_ATTENTION: StepState.NEEDS_ATTENTION,
}


class Outcome(BaseModel):
    """Where a step is now; in state `running` nothing is decided, and the service is asked again."""

    model_config = ConfigDict(frozen=True)

    state: StepState
    attempts: int = 0
    applied: list[AppliedRevision] = []
    current_revisions: list[str] | None = None  # None: the database was not asked
    operation_ms: int | None = None
    waiting_for: str | None = None
    remark: str | None = None  # one sentence about an end that is not as planned, and no error
    error: Problem | None = None

    def facts(self) -> dict[str, Any]:
        """The fields of the step that this outcome sets; called by `Run.apply_outcome`."""
        facts = {
            "attempts": self.attempts,
            "applied": self.applied,
            "operation_ms": self.operation_ms,
            "waiting_for": self.waiting_for,
            "remark": self.remark,
            "error": self.error,
        }
        if self.state.ended:
            # Not the planned revisions: a reader of the audit would think that the database is there.
            facts["to_revisions"] = sorted(self.current_revisions or [])
        return facts


def read_outcome(step: Step, operation: Operation) -> Outcome:
    """The outcome of an operation, checked against its step.

    Raises ServiceLied (CM-801) for an answer about another operation, service or database, or one that contradicts the
    plan. Raises SucceededOnOtherDatabase where it may still be true: another may have migrated the database further.
    """
    if operation.operation_id != step.operation_id:
        raise ServiceLied(step.service, f"about the operation {operation.operation_id}, not {step.operation_id}")
    if (operation.service, operation.database) != (step.service, step.database):
        raise ServiceLied(step.service, f"as {operation.service} about the database {operation.database}")
    succeeded = operation.state is OperationState.SUCCEEDED
    if succeeded and sorted(operation.current_revisions) != sorted(step.to_revisions):
        error_type = ServiceLied if _is_short_of_the_target(step, operation) else SucceededOnOtherDatabase
        reached, expected = ", ".join(operation.current_revisions) or "nothing", ", ".join(step.to_revisions)
        raise error_type(step.service, f"that it succeeded at {reached} where the plan leads to {expected}")
    return _outcome(operation)


def proofs_of_being_beyond(step: Step, operation: Operation) -> list[str]:
    """The targets whose plans must all be empty if the database has passed the target of the step."""
    return sorted({*step.to_revisions, *operation.current_revisions})


def read_beyond(step: Step, operation: Operation, plans: Sequence[MigrationPlan]) -> Outcome | None:
    """The outcome where plans show that the database has passed the target; None where they do not.

    `plans` are the service's plans for `proofs_of_being_beyond`. Only the service knows its history: if its plan to a
    target is empty, the database is at that target or beyond it.
    """
    places = {tuple(sorted(plan.from_revisions)) for plan in plans}
    if len(places) != 1 or any(plan.obstacles or not nothing_to_do(plan) for plan in plans):
        return None
    current = list(places.pop())
    facts = {"current_revisions": current, "remark": _remark(current, step, "beyond")}
    return _outcome(operation).model_copy(update=facts)


def _remark(current: list[str], step: Step, where: str) -> str | None:
    if sorted(current) == sorted(step.to_revisions):
        return None
    reached, planned = ", ".join(current), ", ".join(step.to_revisions) or "the target"
    return f"The database is at {reached}, {where} {planned}, because somebody else migrated it too."


def _is_short_of_the_target(step: Step, operation: Operation) -> bool:
    before = {*step.from_revisions, *step.planned} - set(step.to_revisions)
    return not operation.current_revisions or not before.isdisjoint(operation.current_revisions)


def _outcome(operation: Operation) -> Outcome:
    state = STEP_STATE_OF[operation.state]
    if state is StepState.SUCCEEDED and not operation.applied:
        state = StepState.UNCHANGED
    return Outcome(
        state=state,
        attempts=operation.attempts,
        applied=operation.applied,
        current_revisions=operation.current_revisions,
        operation_ms=_milliseconds(operation.accepted_at, operation.finished_at),
        waiting_for=operation.waiting_for,
        error=None if state.at_target else operation.error,
    )


def from_refusal(problem: Problem, current_revisions: list[str] | None = None) -> Outcome:
    """The outcome of an operation that the service refused to begin."""
    return Outcome(state=StepState.FAILED, error=problem, current_revisions=current_revisions)


def unknown_outcome(problem: Problem) -> Outcome:
    """The outcome where the state of the database could not be determined; an operator must check it."""
    return Outcome(state=StepState.NEEDS_ATTENTION, error=problem)


def already_at_target(step: Step, revisions: list[str]) -> Outcome:
    """The outcome where the database was migrated by another between plan and step."""
    remark = _remark(revisions, step, "and this run had planned")
    return Outcome(state=StepState.UNCHANGED, current_revisions=revisions, remark=remark)


def _milliseconds(start: datetime, end: datetime | None) -> int | None:
    return None if end is None else max(0, round((end - start).total_seconds() * 1000))
