"""The two output streams: results on stdout, hints and errors on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from coordinator.client.errors import ClientError
from coordinator.presentation.terminal_text import safe

WIDTH_OF_A_PIPE = 160  # without it, Rich folds tables at 80 columns in pipes and log files


def stdout() -> Console:
    """The console for results, on stdout."""
    return _console(stderr=False)


def stderr() -> Console:
    """The console for hints and errors, on stderr."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS") else WIDTH_OF_A_PIPE
    return Console(stderr=stderr, width=width, highlight=False)


def print_json(document: Any) -> None:
    """Prints JSON in ASCII on stdout, so that no character in it can act on a terminal."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
    sys.stdout.flush()


def show_failure(failure: ClientError) -> None:
    """Prints the error of a command on stderr."""
    stderr().print(problem_text(failure.problem), soft_wrap=True)


def problem_text(problem: dict[str, Any], indent: str = "") -> Text:
    """The problem in lines: title, detail, message of the server, next step."""
    text = Text(indent)
    text.append_text(safe(problem.get("code") or "error", "bold red")).append(" ")
    text.append_text(safe(problem.get("title") or "The command failed", "bold"))
    for label, name in (("why ", "detail"), ("said", "server_message"), ("next", "next_step")):
        if problem.get(name):
            text.append(f"\n{indent}  {label}  ", "dim").append_text(safe(problem[name]))
    return text


def show_verdict(lines: Sequence[str], *, ok: bool) -> None:
    """Prints the verdict in the first line in green or red, then its notes."""
    for number, line in enumerate(lines):
        stdout().print(safe(line, "dim" if number else "green" if ok else "bold red"), soft_wrap=True)


def print_hint(document: dict[str, Any]) -> None:
    """Says on stderr how to get the next page, if there is one."""
    if document.get("next_cursor"):
        stderr().print(safe(f"There are more: repeat with --cursor {document['next_cursor']}"), soft_wrap=True)


def say_damaged(document: dict[str, Any]) -> None:
    """Names the runs whose records cannot be read; the table does not have them."""
    if damaged := document.get("damaged"):
        ids = ", ".join(map(str, damaged))
        stderr().print(
            safe(
                f"The records of these runs cannot be read: {ids}. Look at each with: coordinator status ID", "yellow"
            ),
            soft_wrap=True,
        )
