"""One command from its connection to its exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from coordinator.cli.console import print_json, show_failure
from coordinator.client.client import CoordinatorClient
from coordinator.client.errors import CommandFailed


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
