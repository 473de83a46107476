"""What a failed step means for the others."""

from __future__ import annotations

import math

from coordinator.domain.run import Run
from coordinator.domain.step import StepState

FAILED = (StepState.FAILED, StepState.NEEDS_ATTENTION, StepState.CANCELLED, StepState.SKIPPED)


def may_start_more(run: Run) -> bool:
    """Whether steps may still start. With `continue`, those that depend on a failed one never become ready."""
    failed = sum(step.state in (StepState.FAILED, StepState.NEEDS_ATTENTION) for step in run.steps)
    if failed == 0:
        return not any(step.state is StepState.CANCELLED for step in run.steps)
    if run.request.on_failure != "continue" or _canary_failed(run):
        return False
    return failed <= allowed_failures(run)


def allowed_failures(run: Run) -> int:
    """How many steps may fail: a number, or a share of all steps, rounded down; all of them where nothing is said."""
    allowed = run.request.max_failures
    if allowed is None:
        return len(run.steps)
    return allowed if isinstance(allowed, int) else math.floor(len(run.steps) * int(allowed.rstrip("%")) / 100)


def _canary_failed(run: Run) -> bool:
    return any(step.service in run.request.first and step.state in FAILED for step in run.steps)
