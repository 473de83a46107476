"""What a run does next, decided from its record alone. The driver asks after every change, and does only that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from coordinator.domain.commands.command import Verb
from coordinator.domain.commands.waiting import Waiting, WaitingKind
from coordinator.domain.policies.waves import next_wave_at, ready_steps, wave_ended_at
from coordinator.domain.policies.way_back import next_to_take_back
from coordinator.domain.run import Run
from coordinator.domain.run_state import RunState
from coordinator.domain.step import Step, StepState


class Action(StrEnum):
    """What the driver does."""

    SETTLE = "settle"  # the run has ended: deliver what is owed
    PLAN = "plan"
    HOLD = "hold"
    WORK = "work"  # begin these steps, or go on with them
    PAUSE = "pause"
    AWAIT_APPROVAL = "await_approval"  # again: the one that was given is void
    PAUSE_AFTER_WAVE = "pause_after_wave"
    CANCEL = "cancel"
    COMPENSATE = "compensate"  # begin to take back
    TAKE_BACK = "take_back"  # these steps
    FINISH = "finish"
    MISS_DEADLINE = "miss_deadline"


@dataclass(frozen=True)
class NextAction:
    """An action, with its services or with what the run is held by."""

    action: Action
    services: tuple[str, ...] = ()
    waiting: Waiting | None = None


# Why a step may not start now, if a window of its service is closed or a freeze holds.
WindowCheck = Callable[[Step, datetime], Waiting | None]


def always_open(_step: Step, _now: datetime) -> Waiting | None:
    """Without windows, a step may start at any time."""
    return None


def decide(
    run: Run, now: datetime, *, waits_behind: str | None = None, closed: WindowCheck = always_open
) -> NextAction:
    """What comes next. `waits_behind` is the earlier run that has one of its services."""
    if run.state.terminal:
        return NextAction(Action.SETTLE)
    if run.state is RunState.RUNNING:
        return _of_running(run, now, closed)
    if _deadline_has_passed(run, now):
        return NextAction(Action.MISS_DEADLINE)
    if run.state is RunState.ACCEPTED:
        return _of_accepted(run, now, waits_behind)
    if run.state is RunState.AWAITING_APPROVAL:
        return _held(WaitingKind.APPROVAL, _approval_sentence(run), now)
    return NextAction(Action.HOLD, waiting=run.waiting or Waiting.of(WaitingKind.PAUSED, "It is paused.", now))


def _of_accepted(run: Run, now: datetime, waits_behind: str | None) -> NextAction:
    not_before = run.request.times.not_before
    if not run.request.dry_run and not_before is not None and now < not_before:
        return _held(
            WaitingKind.NOT_BEFORE, f"The request is not to start before {_text(not_before)}.", now, not_before
        )
    if not run.request.dry_run and waits_behind is not None:
        return _held(WaitingKind.QUEUE, f"It waits for run {waits_behind}, which was accepted before it.", now)
    return NextAction(Action.PLAN)


def _of_running(run: Run, now: datetime, closed: WindowCheck) -> NextAction:
    running = tuple(step.service for step in run.running)
    if run.compensating:
        return _of_compensating(run, running)
    if run.stop is not None and not running:
        return NextAction(Action.CANCEL if run.stop.verb is Verb.CANCEL else Action.PAUSE)
    if run.has_void_approval and not running:
        return NextAction(Action.AWAIT_APPROVAL)
    ready = ready_steps(run)
    if ready and not running and (held := _before_next_step(run, ready, now, closed)) is not None:
        return held
    if ready:
        ready = [] if _deadline_has_passed(run, now) else ready_steps(run, lambda step: closed(step, now) is None)
    if running or ready:
        return NextAction(Action.WORK, (*running, *(step.service for step in ready)))
    failed = any(step.state is StepState.FAILED for step in run.steps)
    if failed and run.request.on_failure == "compensate" and any(step.applied for step in run.steps):
        return NextAction(Action.COMPENSATE)
    return NextAction(Action.FINISH)


def _before_next_step(run: Run, ready: Sequence[Step], now: datetime, closed: WindowCheck) -> NextAction | None:
    if _deadline_has_passed(run, now):
        return NextAction(Action.MISS_DEADLINE)
    if wave_ended_at(run) is not None:
        until = next_wave_at(run)
        if until is None:
            return NextAction(Action.PAUSE_AFTER_WAVE)
        if now < until:
            return _held(WaitingKind.WAVE, f"The next wave starts at {_text(until)}.", now, until)
    if ready_steps(run, lambda step: closed(step, now) is None):
        return None
    return NextAction(Action.HOLD, waiting=closed(ready[0], now))


def _of_compensating(run: Run, running: tuple[str, ...]) -> NextAction:
    step = next_to_take_back(run)
    if running or step is not None:
        return NextAction(Action.TAKE_BACK, running or (step.service,) if step else running)
    return NextAction(Action.FINISH)


def _deadline_has_passed(run: Run, now: datetime) -> bool:
    deadline = run.request.times.deadline
    return deadline is not None and now >= deadline


def _approval_sentence(run: Run) -> str:
    approval = run.approval
    reasons = ", ".join(reason.value for reason in approval.because) if approval else ""
    void = " ".join(approval.void_because) if approval else ""
    again = f" The approval that was given is void: {void}" if void else ""
    return f"Its plan needs an approval ({reasons}); the digest is {run.plan_digest}.{again}"


def _held(kind: WaitingKind, sentence: str, now: datetime, until: datetime | None = None) -> NextAction:
    return NextAction(Action.HOLD, waiting=Waiting.of(kind, sentence, now, until))


def _text(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC")
