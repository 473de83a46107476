"""Prints answers on a terminal or as JSON. Control characters from revision files never reach the terminal."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape as escape_markup

from migration_sidecar.contract.messages import Problem
from migration_sidecar.contract.problem_catalogue.catalogue import PROBLEM_KINDS
from migration_sidecar.contract.strict_json import CONTROL_CHARACTERS

# A file or a pipe gets each line whole, however long; a terminal folds what is too long for it.
_WHOLE_LINES = 1_000_000
out = Console(highlight=False, width=None if sys.stdout.isatty() else _WHOLE_LINES)
remarks = Console(stderr=True, highlight=False)
CONTROL = re.compile(f"[{CONTROL_CHARACTERS}]")


def plain(text: str) -> str:
    """The text with control characters replaced."""
    return CONTROL.sub("�", text)


def escape(text: str) -> str:
    """The text for rich, without control characters and markup."""
    return escape_markup(plain(text))


def print_problem_details(problem: Problem | None) -> None:
    """Prints a problem on stderr: what, why, and what to do."""
    if problem is not None:
        # The terminal folds what is too long; a file or a log gets each sentence in one line.
        remarks.print(f"[bold red]{problem.code}[/] [bold]{escape(problem.title)}[/]", soft_wrap=True)
        lines = (("why ", problem.detail), ("said", problem.server_message), ("next", problem.next_step))
        for label, text in lines:
            if text:
                remarks.print(f"  {label}  {escape(text)}", soft_wrap=True)


def first_line(text: str) -> str:
    """The first line of a revision's message."""
    return escape(text.partition("\n")[0].rstrip())


def exit_code(problem: Problem) -> int:
    """Of a command that ends with this problem before anything began; 2 for a code that a later release has stored."""
    return PROBLEM_KINDS[problem.code].exit_code if problem.code in PROBLEM_KINDS else 2


def print_problem(problem: Problem, *, as_json: bool) -> None:
    """Prints a problem, as JSON on stdout or as text on stderr."""
    if as_json:
        print_json(problem)
    else:
        print_problem_details(problem)


def print_json(answer: BaseModel) -> None:
    """Prints one JSON document on stdout."""
    typer.echo(answer.model_dump_json(by_alias=True, exclude_none=True, indent=2))


def print_json_list(answers: Sequence[BaseModel]) -> None:
    """Prints one JSON array on stdout."""
    typer.echo("[" + ",\n".join(each.model_dump_json(by_alias=True, exclude_none=True) for each in answers) + "]")
