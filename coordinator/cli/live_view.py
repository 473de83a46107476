"""Shows a run on a terminal: one progress bar for each service, redrawn in place."""

from __future__ import annotations

import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from coordinator.client.views import RunView, StepView, now
from coordinator.presentation.formatting import change, duration, occupation, progress, style_of, summary
from coordinator.presentation.terminal_text import safe

BAR_WIDTH = 24


class LiveView:
    """A context manager. The last state stays on the screen after it. Used by `watch_run`, like LineView."""

    def __init__(self, console: Console) -> None:
        self._run: RunView | None = None
        self._remark = ""
        self._live = Live(self, console=console, refresh_per_second=8, transient=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._live.stop()

    def show(self, run: RunView) -> None:
        """Shows this state of the run from now on."""
        self._run, self._remark = run, ""
        self._live.refresh()

    def show_waiting(self, why: str) -> None:
        """Shows, under the run, why there is no news of it."""
        self._remark = why
        self._live.refresh()

    def __rich__(self) -> RenderableType:
        # Rendered again at each refresh, so that bars and clocks move between two answers.
        parts: list[RenderableType] = [_headline(self._run), _bars(self._run.steps)] if self._run else []
        reason_to_wait = self._remark or (self._run.waiting_for if self._run else "")
        remark = reason_to_wait or (occupation(self._run) if self._run else "")
        return Group(*parts, safe(remark, "yellow" if reason_to_wait else "dim")) if remark else Group(*parts)


def _headline(run: RunView) -> Text:
    line = Text("run ").append_text(safe(run.request_id, "bold")).append("  ")
    line.append_text(safe(run.state, style_of(run.state))).append(f"  {duration(run.elapsed_seconds(now()))}", "dim")
    return line.append(f"  {summary(run)}", "dim") if run.steps else line


def _bars(steps: Iterable[StepView]) -> Table:
    table = Table.grid(padding=(0, 2))
    for step in steps:
        table.add_row(
            safe(step.service, "bold" if step.state == "running" else ""),
            _bar(step),
            safe(step.state, style_of(step.state)),
            Text(_elapsed(step), "dim"),
            _note(step),
        )
    return table


def _bar(step: StepView) -> ProgressBar:
    style = style_of(step.state) or "cyan"
    total = max(1, len(step.planned))
    done = min(len(step.applied), total)
    if step.state in ("succeeded", "unchanged"):
        done = total
    return ProgressBar(
        total=total,
        completed=done,
        width=BAR_WIDTH,
        pulse=step.state == "running" and done == 0,
        animation_time=time.monotonic(),
        complete_style=style,
        finished_style=style,
        pulse_style=style,
    )


def _elapsed(step: StepView) -> str:
    return duration(step.seconds if step.seconds is not None else step.elapsed_seconds(now()))


def _note(step: StepView) -> Text:
    if step.error:
        return safe(f"{step.error.code} {step.error.title}", "red")
    if step.waiting_for:
        return safe(step.waiting_for, "yellow")
    return safe("  ".join(part for part in (change(step), progress(step)) if part), "dim")
