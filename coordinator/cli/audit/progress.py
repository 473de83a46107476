"""The progress of a long command: a bar on a terminal, nothing in a log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from coordinator.cli.console import stderr
from coordinator.client.audit_verification import ProgressCallback


@contextmanager
def progress(what: str, *, shown: bool = True) -> Iterator[ProgressCallback]:
    """Shows a bar until the block ends. Yields the function that moves it, with the arguments `done, total`."""
    console = stderr()
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TextColumn("events"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal)) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=max(done, total))
