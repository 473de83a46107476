"""Shows a run in logs and pipes: one line for each change."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.text import Text

from coordinator.client.views import RunView, StepView, now
from coordinator.presentation.formatting import change, duration, occupation, progress, style_of, summary
from coordinator.presentation.terminal_text import safe


class LineView:
    """Prints only what changed since the last call of `show`. Used by `watch_run`, like LiveView."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._printed: dict[str, str] = {}  # service, or "" for the run -> the state that was printed last

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Leaves the output as it is; LiveView has something to end here."""

    def show(self, run: RunView) -> None:
        """Prints the steps and the run, each if it changed."""
        if not run.ended:
            self._run_line(run)
        for step in run.steps:
            self._step_line(step)
        if run.ended:
            self._run_line(run)

    def show_waiting(self, why: str) -> None:
        """Prints why there is no news of the run."""
        self._print(safe(why, "yellow"))

    def _run_line(self, run: RunView) -> None:
        status = f"{run.state} {run.waiting_for}"
        if self._printed.get("") == status:
            return
        self._printed[""] = status
        extra = [doing] if (doing := occupation(run)) else []
        if run.ended:
            extra += [part for part in (summary(run), duration(run.elapsed_seconds(now()))) if part]
        self._print(_line(f"run {run.request_id}", run.state, "; ".join(extra)))

    def _step_line(self, step: StepView) -> None:
        status = f"{step.state} {step.waiting_for}"
        if step.state == "pending" or self._printed.get(step.service) == status:
            return
        self._printed[step.service] = status
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
