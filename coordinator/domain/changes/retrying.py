"""A retry: what did not reach its target is planned again, in the same run."""

from __future__ import annotations

from coordinator.domain.run import Run
from coordinator.domain.run_state import RunState
from coordinator.domain.step import StepState

AGAIN = (StepState.FAILED, StepState.SKIPPED, StepState.NEEDS_ATTENTION)


def retried(run: Run) -> Run:
    """The run in its next round, accepted again. Steps that are at their target stay as they are.

    The record remembers the events of the round that ends, because its fields begin to tell of the next one.
    """
    run = run.remembering("migration.finished")
    if run.started_at is not None:
        run = run.remembering("migration.started")
    for step in run.steps:
        if step.state in AGAIN:
            run = run.remembering("migration.step_finished", step)
            # An operation of an earlier round is remembered already; a step that was skipped began none in this one.
            if step.state is not StepState.SKIPPED and step.started_at is not None:
                run = run.remembering("migration.step_started", step)
            run = run.with_step(step.planned_again(run.round + 1))
    return run.with_state(
        RunState.ACCEPTED,
        round=run.round + 1,
        generation=run.generation + 1,
        approval=None,
        obstacles=[],
        started_at=None,
        finished_at=None,
        error=None,
        stop=None,
        resumed_at=None,
    )
