"""The timeline of a run: one bar for each database on which a step was started."""

from __future__ import annotations

from datetime import datetime

from coordinator.presentation.formatting import duration
from coordinator.report.document import Bar, Tick, Timeline
from coordinator.report.inputs import ReportedRun, ReportedStep
from coordinator.report.phrases import day, instant, step_end

NAMED_AT_MOST = 40
# In seconds.
INTERVALS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
TICKS_AT_MOST = 6


def timeline(run: ReportedRun) -> Timeline | None:
    """The timeline, or None if no step was started."""
    started_steps = sorted(((step.started_at, step) for step in run.steps if step.started_at), key=lambda pair: pair[0])
    if not started_steps:
        return None
    first = started_steps[0][0]
    start = min(first, run.started_at or first)
    end = max(step.finished_at or started for started, step in started_steps)
    seconds = max((end - start).total_seconds(), 0.001)
    bars = [_bar(step, started, start, seconds) for started, step in started_steps]
    return Timeline(
        caption=f"What was done when, from {instant(start)} UTC, {day(start)}",
        description="; ".join(f"{bar.label}: {bar.note}" for bar in bars[:NAMED_AT_MOST]),
        labelled=len(bars) <= NAMED_AT_MOST,
        bars=bars,
        ticks=_ticks(seconds),
    )


def _bar(step: ReportedStep, started: datetime, start: datetime, seconds: float) -> Bar:
    begin = (started - start).total_seconds()
    end = ((step.finished_at or started) - start).total_seconds()
    words, tone = step_end(step)
    took = duration(max(0.0, end - begin)) if step.finished_at else "no end is known"
    return Bar(step.database or step.service, f"{words}, {took}", begin / seconds, max(end, begin) / seconds, tone)


def _ticks(seconds: float) -> list[Tick]:
    interval = next((each for each in INTERVALS if seconds / each <= TICKS_AT_MOST), seconds / TICKS_AT_MOST)
    ticks = [Tick(0, "start")]
    while (at := len(ticks) * interval) <= seconds:
        ticks.append(Tick(at / seconds, f"+{duration(at)}"))
    return ticks
