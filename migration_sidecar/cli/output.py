"""How answers look on a terminal and as JSON; text of a revision file must not draw on the terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape as escape_markup

from migration_sidecar.contract.messages import Problem
from migration_sidecar.contract.strict_json import CONTROL_CHARACTERS

out, remarks = Console(highlight=False), Console(stderr=True, highlight=False)
HARMLESS = {"CM-412"}  # an upgrade sees to it
FOR_A_PERSON = {"CM-551", "CM-552"}  # the database is not what these files made of it
REQUEST = re.compile(r"[Ss]end a new request")
CONTROL = re.compile(f"[{CONTROL_CHARACTERS}]")


def plain(text: str) -> str:
    return CONTROL.sub("�", text)


def escape(text: str) -> str:
    return escape_markup(plain(text))


def show(problem: Problem | None) -> None:
    """What, why, and what to do, on stderr."""
    if problem is not None:
        # The terminal folds what is too long; a file or a log gets each sentence in one line.
        remarks.print(f"[bold red]{problem.code}[/] [bold]{escape(problem.title)}[/]", soft_wrap=True)
        next_step = REQUEST.sub(_by_hand, problem.next_step)
        remarks.print(f"  why   {escape(problem.detail)}\n  next  {escape(next_step)}", soft_wrap=True)


def _by_hand(words: re.Match[str]) -> str:
    """Whoever typed a command sends no requests."""
    return "Run it again" if words[0].startswith("S") else "run it again"


def first_line(text: str) -> str:
    """Of a revision's message, which may go on for as long as its author liked."""
    return escape(text.partition("\n")[0].rstrip())


def exit_code(problem: Problem) -> int:
    """One rule for every command: what is to be done about it, and by whom."""
    if problem.code in HARMLESS:
        return 0
    if problem.code in FOR_A_PERSON:
        return 4
    return 3 if problem.code.startswith("CM-5") else 2


def print_problem(problem: Problem, *, as_json: bool) -> None:
    if as_json:
        print_json(problem)
    else:
        show(problem)


def print_json(answer: BaseModel) -> None:
    typer.echo(answer.model_dump_json(by_alias=True, exclude_none=True, indent=2))


def print_json_list(answers: Sequence[BaseModel]) -> None:
    typer.echo("[" + ",\n".join(each.model_dump_json(by_alias=True, exclude_none=True) for each in answers) + "]")
