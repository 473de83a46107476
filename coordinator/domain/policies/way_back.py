"""In which order compensation takes back what a run changed."""

from __future__ import annotations

from coordinator.domain.run import Run
from coordinator.domain.step import Step, StepState


def next_to_take_back(run: Run) -> Step | None:
    """The step that is taken back next: the last one that changed its database. None when all are done.

    One that needs attention is left as it is: nobody knows where its database stands.
    """
    changed = [
        step
        for step in run.steps
        if step.applied and step.state is not StepState.NEEDS_ATTENTION and (step.undo is None or not step.undo.ended)
    ]
    by_end = sorted(changed, key=lambda step: step.finished_at or run.accepted_at, reverse=True)
    dependents = {name for step in changed for name in step.after}
    return next((step for step in by_end if step.service not in dependents), by_end[0] if by_end else None)
