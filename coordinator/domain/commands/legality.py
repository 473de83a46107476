"""Which verb is legal in which state of a run: one table, and what narrows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from coordinator.domain.commands.command import Verb
from coordinator.domain.policies.waiting import WaitingKind
from coordinator.domain.run_state import RunState

if TYPE_CHECKING:  # a run says what is possible for it
    from coordinator.domain.run import Run

LEGAL: Mapping[RunState, frozenset[Verb]] = {
    RunState.ACCEPTED: frozenset({Verb.PAUSE, Verb.CANCEL}),
    RunState.AWAITING_APPROVAL: frozenset({Verb.APPROVE, Verb.REJECT, Verb.CANCEL}),
    RunState.RUNNING: frozenset({Verb.PAUSE, Verb.CANCEL}),  # resume: while it is about to pause, or between waves
    RunState.PAUSED: frozenset({Verb.RESUME, Verb.CANCEL}),
    RunState.FAILED: frozenset({Verb.RETRY}),
    RunState.NEEDS_ATTENTION: frozenset({Verb.RETRY}),
    RunState.SUCCEEDED: frozenset(),
    RunState.CANCELLED: frozenset(),
    RunState.COMPENSATED: frozenset(),
    RunState.PLANNED: frozenset(),
}


def possible(run: Run) -> list[Verb]:
    """The verbs that would change something now, in the order of `Verb`."""
    legal = set(LEGAL[run.state])
    if run.compensating:
        return []  # what was begun is taken back to its end
    if run.state is RunState.RUNNING:
        if run.stop is not None and run.stop.verb is Verb.CANCEL:
            return []
        if run.is_pausing or (run.waiting is not None and run.waiting.kind is WaitingKind.WAVE):
            legal.add(Verb.RESUME)
        if run.is_pausing and run.stop is not None and run.stop.now:
            legal.discard(Verb.PAUSE)
    return [verb for verb in Verb if verb in legal]
