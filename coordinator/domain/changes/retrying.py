"""A retry: what did not reach its target is planned again, in the same run."""

from __future__ import annotations

from coordinator.domain.run import Run
from coordinator.domain.run_state import RunState
from coordinator.domain.step import StepState

AGAIN = (StepState.FAILED, StepState.SKIPPED, StepState.NEEDS_ATTENTION)


def retried(run: Run) -> Run:
    """The run in its next round, accepted again. Steps that are at their target stay as they are."""
    return run.with_state(
        RunState.ACCEPTED,
        steps=[step.planned_again() if step.state in AGAIN else step for step in run.steps],
        round=run.round + 1,
        generation=run.generation + 1,
        approval=None,
        obstacles=[],
        finished_at=None,
        error=None,
        stop=None,
        resumed_at=None,
    )
