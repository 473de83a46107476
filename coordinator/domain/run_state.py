"""The states of a run, and the one table of how it may leave them."""

from __future__ import annotations

from enum import StrEnum

from coordinator.domain.step import StepState


class RunState(StrEnum):
    """Where a run is; `MOVES` says how it may go on."""

    ACCEPTED = "accepted"  # stored; it will be started, also after a crash
    AWAITING_APPROVAL = "awaiting_approval"  # planned; a person has to agree to the plan's digest
    RUNNING = "running"  # planned; steps are being carried out
    PAUSED = "paused"  # paused on request between two steps
    SUCCEEDED = "succeeded"  # every database is at its target or beyond it, also where another process migrated it
    FAILED = "failed"  # one is not; the steps say which and why
    CANCELLED = "cancelled"  # cancelled at a whole revision
    COMPENSATED = "compensated"  # it failed, and what it had changed was taken back
    NEEDS_ATTENTION = "needs_attention"  # only a person can tell what to do
    PLANNED = "planned"  # a dry run; nothing was touched

    @property
    def terminal(self) -> bool:
        """Whether the run has ended; only a retry opens it again. There is no second list."""
        return self in _ENDS or self is RunState.PLANNED


_ENDS = {RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED, RunState.COMPENSATED, RunState.NEEDS_ATTENTION}

MOVES: dict[RunState, frozenset[RunState]] = {
    RunState.ACCEPTED: frozenset(
        {
            RunState.RUNNING,
            RunState.AWAITING_APPROVAL,
            RunState.PAUSED,
            RunState.PLANNED,
            RunState.FAILED,
            RunState.CANCELLED,
        },
    ),
    RunState.AWAITING_APPROVAL: frozenset({RunState.RUNNING, RunState.FAILED, RunState.CANCELLED}),
    # An approval that does not hold any more sends a run back, between two steps.
    RunState.RUNNING: frozenset({RunState.PAUSED, RunState.AWAITING_APPROVAL, *_ENDS}),
    # Resumed before it had a plan, it is planned.
    RunState.PAUSED: frozenset({RunState.RUNNING, RunState.ACCEPTED, RunState.FAILED, RunState.CANCELLED}),
    # A retry plans again what did not reach its target.
    RunState.FAILED: frozenset({RunState.ACCEPTED}),
    RunState.NEEDS_ATTENTION: frozenset({RunState.ACCEPTED}),
    **dict.fromkeys([RunState.SUCCEEDED, RunState.CANCELLED, RunState.COMPENSATED, RunState.PLANNED], frozenset()),
}


def end_of(steps: list[StepState]) -> RunState:
    """The state of a run whose steps have all ended; the worst step decides."""
    for worst, end in (
        (StepState.NEEDS_ATTENTION, RunState.NEEDS_ATTENTION),
        (StepState.FAILED, RunState.FAILED),
        (StepState.CANCELLED, RunState.CANCELLED),
        (StepState.REVERTED, RunState.COMPENSATED),
        (StepState.SKIPPED, RunState.FAILED),
    ):
        if worst in steps:
            return end
    return RunState.SUCCEEDED
