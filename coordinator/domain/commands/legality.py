"""Which verb is legal in which state of a run: one table, and what narrows it."""

from __future__ import annotations

from collections.abc import Mapping

from coordinator.domain.commands.command import Command, Verb
from coordinator.domain.commands.waiting import Waiting, WaitingKind
from coordinator.domain.run_state import RunState

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


def possible(
    state: RunState, *, compensating: bool = False, stop: Command | None = None, waiting: Waiting | None = None
) -> list[Verb]:
    """The verbs that would change something in a run of which these are the fields; in the order of `Verb`."""
    legal = set(LEGAL[state])
    if compensating:
        return []  # what was begun is taken back to its end
    if state is RunState.RUNNING:
        if stop is not None and stop.verb is Verb.CANCEL:
            return []
        if stop is not None or (waiting is not None and waiting.kind is WaitingKind.WAVE):
            legal.add(Verb.RESUME)
        if stop is not None and stop.now:
            legal.discard(Verb.PAUSE)
    return [verb for verb in Verb if verb in legal]
