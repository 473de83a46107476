"""Shows a run until it ends: redrawn on a terminal, in lines in a pipe, or at the end as JSON."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from coordinator.cli.console import print_json, stderr, stdout
from coordinator.cli.line_view import LineView
from coordinator.cli.live_view import LiveView
from coordinator.cli.run_table import show_problems
from coordinator.cli.run_watch import RunSeen, Watch, WatchLimits
from coordinator.client.client import CoordinatorClient
from coordinator.client.exit_codes import ExitCode, of_run
from coordinator.client.views import RunView
from coordinator.presentation.terminal_text import safe


class SilentView:
    """For --json: prints only why there is no news, on stderr. The command prints the run at the end."""

    def show(self, run: RunView) -> None:
        """Prints nothing."""

    def show_waiting(self, why: str) -> None:
        """Prints the reason on stderr."""
        stderr().print(safe(why, "yellow"), soft_wrap=True)


def watch_run(coordinator: CoordinatorClient, request_id: str, *, as_json: bool) -> ExitCode:
    """Watches a run for the commands `watch` and `request --watch`. Raises CommandFailed as Watch does."""
    last: RunSeen | None = None
    try:
        with _view(as_json) as view:
            for news in Watch(coordinator, request_id, WatchLimits()):
                if isinstance(news, RunSeen):
                    last = news
                    view.show(news.run)
                else:
                    view.show_waiting(news.why)
    except KeyboardInterrupt:
        return _interrupted(request_id)
    if last is None:
        return ExitCode.CANNOT_REACH
    _finish(last.document, last.run, as_json=as_json)
    return of_run(last.run.state)


def _view(as_json: bool) -> Any:
    if as_json:
        return nullcontext(SilentView())
    console = stdout()
    return LiveView(console) if console.is_terminal else LineView(console)


def _interrupted(request_id: str) -> ExitCode:
    stderr().print(f"\nThe run goes on without you. To watch it again: coordinator watch {request_id}")
    return ExitCode.INTERRUPTED


def _finish(document: dict[str, Any], run: RunView, *, as_json: bool) -> None:
    if as_json:
        print_json(document)
        return
    show_problems(stdout(), run)
    if of_run(run.state) == ExitCode.PERSON_NEEDED:
        stderr().print(f"A person has to decide. See: coordinator status {run.request_id}")
