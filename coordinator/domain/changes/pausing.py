"""A run that pauses between two steps, and goes on."""

from __future__ import annotations

from datetime import datetime

from coordinator.domain.commands.waiting import Waiting, WaitingKind
from coordinator.domain.run import Run
from coordinator.domain.run_state import RunState


def paused(run: Run, now: datetime) -> Run:
    """Pauses a run of which no step is running, if a pause was asked for."""
    if run.state is not RunState.RUNNING or run.running or not run.is_pausing or run.stop is None:
        return run
    why = f"{run.stop.by} paused it: {run.stop.reason}"
    return _paused(run, why, now, run.stop.command_id)


def paused_before_plan(run: Run, why: str, now: datetime, command_id: str) -> Run:
    """Pauses a run that was not planned yet."""
    return _paused(run, why, now, command_id)


def paused_after_wave(run: Run, now: datetime) -> Run:
    """Pauses a run whose policy wants somebody to look after each wave."""
    if run.state is not RunState.RUNNING or run.running:
        return run
    ended = sum(step.state.ended for step in run.steps)
    why = f"A wave has ended, {ended} of {len(run.steps)} services are done, and the request pauses after each wave."
    return _paused(run, why, now, f"wave-{ended}")


def resumed(run: Run, now: datetime) -> Run:
    """Goes on with a run that is paused, or that was about to pause, or that waits for its next wave."""
    facts = {"stop": None, "resumed_at": now}
    if run.state is not RunState.PAUSED:
        return run.model_copy(update={**facts, "waiting": None, "waiting_for": None})
    return run.with_state(RunState.RUNNING if run.steps and run.started_at else RunState.ACCEPTED, **facts)


def _paused(run: Run, why: str, now: datetime, reason_id: str) -> Run:
    run = run.with_state(RunState.PAUSED, stop=None).held(Waiting.of(WaitingKind.PAUSED, why, now))
    return run.with_run_event("migration.paused", now, again=[reason_id])
