"""How answers look on a terminal and as JSON; text of a revision file must not draw on the terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape as escape_markup

from migration_sidecar.messages import Problem

out, remarks = Console(highlight=False), Console(stderr=True, highlight=False)
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(text: str) -> str:
    return CONTROL.sub("�", text)


def escape(text: str) -> str:
    return escape_markup(plain(text))


def show(problem: Problem | None) -> None:
    """What, why, and what to do, on stderr."""
    if problem is not None:
        # The terminal folds what is too long; a file or a log gets each sentence in one line.
        remarks.print(f"[bold red]{problem.code}[/] [bold]{escape(problem.title)}[/]", soft_wrap=True)
        remarks.print(f"  why   {escape(problem.detail)}\n  next  {escape(problem.next_step)}", soft_wrap=True)


def exit_code(problem: Problem | None) -> int:
    """3 where the database cannot be reached or used, 2 where the request or the configuration cannot."""
    return 3 if problem is None or problem.code.startswith("CM-5") else 2


def print_problem(problem: Problem, *, as_json: bool) -> None:
    if as_json:
        print_json(problem)
    else:
        show(problem)


def print_json(answer: BaseModel) -> None:
    typer.echo(answer.model_dump_json(by_alias=True, exclude_none=True, indent=2))


def print_json_list(answers: Sequence[BaseModel]) -> None:
    typer.echo("[" + ",\n".join(each.model_dump_json(by_alias=True, exclude_none=True) for each in answers) + "]")
