"""Compensation: what this run changed is taken back in reverse order, as far as no data is lost by it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from coordinator.domain.outcome import Outcome
from coordinator.domain.run import Run
from coordinator.domain.step import Step, StepState, Undo
from migration_sidecar.contract.messages import Action, MigrationPlan, Problem


def begin(run: Run, now: datetime) -> Run:
    """The run starts to take back; called once a step has failed and none is running."""
    return run if run.compensating else run.model_copy(update={"compensating": True}).with_run_event(
        "migration.compensation_started", now
    )  # fmt: skip


def begin_undo(run: Run, service: str, plan: MigrationPlan) -> Run:
    """Gives the step its operation id for the way back; a step that has one stays as it is."""
    step = run.step(service)
    if step.undo is not None:
        return run
    undo = Undo(
        operation_id=step.next_operation_id(run.request_id),
        to_revisions=step.from_revisions,
        plan_digest=plan.digest,
    )
    return run.remembering("migration.step_finished", step).with_step(step.model_copy(update={"undo": undo}))


def refuse_undo(run: Run, service: str, why: Problem, now: datetime) -> Run:
    """The step stays as it is, and a person is needed; `why` says where the database is and what to do."""
    step = run.step(service)
    if step.undo is not None and step.undo.ended:
        return run
    if step.undo is None:
        run = run.remembering("migration.step_finished", step)
    operation_id = step.undo.operation_id if step.undo else step.next_operation_id(run.request_id)
    undo = Undo(operation_id=operation_id, to_revisions=step.from_revisions, ended=True, error=why)
    return _ended(run, step, undo, StepState.NEEDS_ATTENTION, now)


def apply_undo_outcome(run: Run, service: str, outcome: Outcome, now: datetime) -> Run:
    """Writes what the service reports about the way back."""
    step = run.step(service)
    if step.undo is None or step.undo.ended:
        return run
    facts = {"reverted": outcome.applied, "waiting_for": outcome.waiting_for, "error": outcome.error}
    undo = step.undo.model_copy(update=facts)
    if not outcome.state.ended:
        return run.with_step(step.model_copy(update={"undo": undo}))
    undo = undo.model_copy(update={"ended": True})
    state = StepState.REVERTED if outcome.state.at_target else StepState.NEEDS_ATTENTION
    return _ended(run, step, undo, state, now, to_revisions=sorted(outcome.current_revisions or []))


def obstacle_to_undo(step: Step, plan: MigrationPlan) -> str | None:
    """Why the way back is not gone: one sentence, or None where it loses nothing."""
    if plan.obstacles:
        return plan.obstacles[0].detail
    applied = [each.revision for each in step.applied if each.action is Action.UPGRADE]
    others = [each.id for each in plan.revisions if each.id not in applied]
    if others:
        return f"The way back would also revert {', '.join(others[:3])}, which this run did not apply."
    if not_reversible := [each.id for each in plan.revisions if not each.reversible]:
        return f"{', '.join(not_reversible[:3])} cannot be reverted."
    if destructive := [each.id for each in plan.revisions if each.destructive]:
        return f"Reverting {', '.join(destructive[:3])} may lose data."
    return None


def target_of_undo(step: Step) -> str | None:
    """The revision to which the database goes back; None where no single revision names it."""
    return step.from_revisions[0] if len(step.from_revisions) == 1 else None


def sentence_for_a_person(step: Step, why: str, at: Sequence[str]) -> str:
    """Where the database is, why it was not taken back, and what to type."""
    target = target_of_undo(step) or "the revision before"
    return f"{step.service} is at {', '.join(at) or 'no revision'} and was not taken back to {target}: {why}"


def _ended(
    run: Run, step: Step, undo: Undo, state: StepState, now: datetime, to_revisions: Sequence[str] | None = None
) -> Run:
    """A step that had failed keeps its own error and state; what became of the way back is in `undo`."""
    facts = {"undo": undo} if to_revisions is None else {"undo": undo, "to_revisions": list(to_revisions)}
    ended = step.moved(state, **facts)
    return run.with_step(ended).with_step_event("migration.step_compensated", now, ended)
