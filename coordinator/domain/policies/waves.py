"""Which steps are next: the order, the canary, how many side by side, and the pause between two waves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import islice

from coordinator.domain.policies.failure import may_start_more
from coordinator.domain.run import Run
from coordinator.domain.step import Step, StepState


def ready_steps(run: Run, is_open: Callable[[Step], bool] = lambda _: True) -> list[Step]:
    """The pending steps that may start now, in the order of the run, as many as fit beside those under way.

    `is_open` says whether a window of the step's service is open.
    """
    running = len(run.running)
    if run.stop is not None or run.compensating or run.has_void_approval or not may_start_more(run):
        return []
    if run.request.pause_between is not None and running:
        return []  # a wave ends as a whole
    at_target = {step.service for step in run.steps if step.state.at_target}
    among = canary(run)
    ready = (
        step
        for step in run.steps
        if step.state is StepState.PENDING
        and step.service in among
        and at_target.issuperset(step.after)
        and is_open(step)
    )
    return list(islice(ready, max(0, run.request.max_parallel - running)))


def may_still_begin(run: Run, service: str) -> bool:
    """Whether a step that was ready may begin now: others of its wave, or a person, may have changed the record."""
    among_running = len(run.running) < run.request.max_parallel
    return among_running and not run.has_void_approval and may_start_more(run) and service in canary(run)


def canary(run: Run) -> set[str]:
    """The services that may start: those named first and what they depend on, until these are done; then all."""
    everybody = {step.service for step in run.steps}
    wanted = {name for name in run.request.first if name in everybody}
    if all(run.step(name).state.at_target for name in wanted):
        return everybody
    todo = list(wanted)
    while todo:
        for name in run.step(todo.pop()).after:
            if name not in wanted:
                wanted.add(name)
                todo.append(name)
    return wanted


def wave_ended_at(run: Run) -> datetime | None:
    """When the last wave ended, if the policy pauses after it and nobody has resumed the run since."""
    if run.request.pause_between is None or run.running:
        return None
    ends = [step.finished_at for step in run.steps if step.started_at is not None and step.finished_at is not None]
    if not ends or (run.resumed_at is not None and run.resumed_at >= max(ends)):
        return None
    return max(ends)


def next_wave_at(run: Run) -> datetime | None:
    """When the next wave may start by itself; None where somebody has to resume the run, or there is no pause."""
    ended, pause = wave_ended_at(run), run.request.pause_between
    return ended + timedelta(seconds=pause) if ended is not None and isinstance(pause, int) else None
