"""The view of a run for logs and pipes: one line per change, nothing redrawn."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.text import Text

from coordinator.client.views import RunView, StepView, now
from coordinator.presentation.formatting import change, duration, occupation, progress, style_of, summary
from coordinator.presentation.terminal_text import safe


class LineView:
    """Remembers what it said, and says only what changed."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing to put back."""

    def seen(self, run: RunView) -> None:
        if not run.ended:
            self._run_line(run)
        for step in run.steps:
            self._step_line(step)
        if run.ended:
            self._run_line(run)

    def waiting(self, why: str) -> None:
        self._print(safe(why, "yellow"))

    def _run_line(self, run: RunView) -> None:
        told = f"{run.state} {run.waiting_for}"
        if self._said.get("") == told:
            return
        self._said[""] = told
        extra = [doing] if (doing := occupation(run)) else []
        if run.ended:
            extra += [part for part in (summary(run), duration(run.elapsed_seconds(now()))) if part]
        self._print(_line(f"run {run.request_id}", run.state, "; ".join(extra)))

    def _step_line(self, step: StepView) -> None:
        told = f"{step.state} {step.waiting_for}"
        if step.state == "pending" or self._said.get(step.service) == told:
            return
        self._said[step.service] = told
        self._print(_line(step.service, step.state, _facts(step)))

    def _print(self, text: Text) -> None:
        self._console.print(Text(f"{now():%H:%M:%S}  ", "dim").append_text(text), soft_wrap=True)


def _line(subject: str, state: str, facts: str) -> Text:
    line = safe(f"{subject}  ").append_text(safe(state, style_of(state)))
    return line.append_text(safe(f"  {facts}", "dim")) if facts else line


def _facts(step: StepView) -> str:
    if step.error:
        return f"{step.error.code} {step.error.title}"
    if step.waiting_for:
        return step.waiting_for
    if not step.ended:
        return ""
    return "; ".join(part for part in (change(step), progress(step), duration(step.seconds), step.remark) if part)
