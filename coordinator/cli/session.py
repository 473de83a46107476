"""One command from its connection to its exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from coordinator.cli.client import CoordinatorClient
from coordinator.cli.failures import CommandFailed
from coordinator.cli.output import print_json, show_failure


@contextmanager
def session(url: str | None, *, as_json: bool) -> Iterator[CoordinatorClient]:
    """Turns every failure into its message and its exit code; with --json the problem is the answer."""
    try:
        with CoordinatorClient(url) as coordinator:
            yield coordinator
    except CommandFailed as failure:
        if as_json:
            print_json(failure.problem)
        else:
            show_failure(failure)
        raise typer.Exit(failure.exit_code) from None
