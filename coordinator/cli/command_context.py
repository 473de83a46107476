"""The frame of every command: opens the client, and turns errors into output and an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from coordinator.cli.console import print_json, show_failure
from coordinator.client.client import CoordinatorClient
from coordinator.client.errors import ClientError


@contextmanager
def failures(*, as_json: bool) -> Iterator[None]:
    """Prints a ClientError, as JSON on stdout if `as_json`, and exits with its code."""
    try:
        yield
    except ClientError as failure:
        if as_json:
            print_json(failure.problem)
        else:
            show_failure(failure)
        raise typer.Exit(failure.exit_code) from None


@contextmanager
def session(url: str | None, *, as_json: bool) -> Iterator[CoordinatorClient]:
    """Opens the client, which has the key or the token of whoever runs the command. Errors end as in `failures`."""
    with failures(as_json=as_json), CoordinatorClient.of_operator(url) as coordinator:
        yield coordinator
