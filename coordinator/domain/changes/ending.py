"""How a run ends: by its steps, by a cancel, by its deadline, or by somebody who rejects its plan."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from coordinator.domain.commands.refusals import DeadlinePassed
from coordinator.domain.run import Run
from coordinator.domain.run_state import RunState, end_of
from coordinator.domain.step import Step, StepState
from migration_sidecar.contract.audit_detail import problem_facts
from migration_sidecar.contract.messages import Problem

OPEN = (RunState.RUNNING, RunState.PAUSED, RunState.AWAITING_APPROVAL, RunState.ACCEPTED)


def finish(run: Run, now: datetime) -> Run:
    """Ends a running run: steps that never started become `skipped`, and the worst step decides the state.

    Called once no step can go on. A run that is not running stays as it is.
    """
    if run.state is not RunState.RUNNING:
        return run
    run = _end_pending(run, now, StepState.SKIPPED)
    return _ended(run, _end_state(run), now, _cause(run))


def cancelled(run: Run, now: datetime, cause: Problem | None = None) -> Run:
    """Ends an open run of which no step is running; steps that never started become `cancelled`."""
    if run.state not in OPEN:
        return run
    run = _end_pending(run, now, StepState.CANCELLED)
    needs_person = any(step.state is StepState.NEEDS_ATTENTION for step in run.steps)
    end = RunState.NEEDS_ATTENTION if needs_person and run.state is RunState.RUNNING else RunState.CANCELLED
    return _ended(run, end, now, cause or _cause(run))


def deadline_passed(run: Run, now: datetime) -> Run:
    """Ends an open run whose deadline has passed while steps had not started."""
    if run.state not in OPEN or run.running:
        return run
    problem = DeadlinePassed(run.request_id, run.request.deadline or "").problem()
    run = _end_pending(run, now, StepState.SKIPPED)
    return _ended(run, RunState.FAILED, now, _cause(run) or problem)


def _end_state(run: Run) -> RunState:
    """A run that compensated is `compensated` where all that it had changed is taken back."""
    if run.compensating:
        undone = all(step.undo is not None and step.undo.error is None for step in run.steps if step.applied)
        needs_person = any(step.state is StepState.NEEDS_ATTENTION for step in run.steps)
        return RunState.COMPENSATED if undone and not needs_person else RunState.NEEDS_ATTENTION
    return end_of([step.state for step in run.steps])


def _cause(run: Run) -> Problem | None:
    return next((step.error for step in run.steps if step.error), None)


def _end_pending(run: Run, now: datetime, state: StepState) -> Run:
    for step in run.steps:
        if step.state is StepState.PENDING:
            run = run.with_ended_step(_never_started(step, state, now), now)
    return run


def _never_started(step: Step, state: StepState, now: datetime) -> Step:
    """A step that was stopped half way for a pause stays where it is."""
    if state is StepState.SKIPPED:
        return step.skipped(now)
    return step.moved(state, finished_at=now, to_revisions=step.from_revisions)


def _ended(run: Run, end: RunState, now: datetime, cause: Problem | None) -> Run:
    ended = run.with_state(end, finished_at=now, error=cause, stop=None)
    facts: dict[str, Any] = {"plan_digest": run.plan_digest, "error": problem_facts(cause) if cause else None}
    return ended.with_run_event("migration.finished", now, outcome=end.value, **facts)
