"""`coordinator dead-letters list`: the newest of them, and how many are not there."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from coordinator.cli import options
from coordinator.cli.command_context import session
from coordinator.cli.console import print_hint, print_json, stderr, stdout
from coordinator.cli.table_layout import Column, show_table
from coordinator.client.dead_letter_views import DeadLetterView
from coordinator.client.views import read_list
from coordinator.presentation.formatting import moment
from coordinator.presentation.terminal_text import safe

EXAMPLES = options.examples(
    "coordinator dead-letters list",
    "coordinator dead-letters list --limit 100 --json",
    "coordinator dead-letters show ID",
)
COLUMNS = (
    Column("id"),
    Column("last came", leaves=2, folds=True),
    Column("times", leaves=3),
    Column("refused with"),
    Column("known as"),
    Column("from", leaves=1, folds=True),
    Column("became"),
)


def list_letters(
    limit: Annotated[int, typer.Option(min=1, max=100, help="The largest number; the newest come first.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Continue after an earlier page, with its cursor.")] = None,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """Lists events that were refused, or that nobody could take in time. The newest thousand are kept."""
    with session(url, as_json=as_json) as client:
        document = client.dead_letters(options.without_unset({"limit": limit, "cursor": cursor}.items()))
        if as_json:
            print_json(document)
            return
        letters = read_list(DeadLetterView, document, "dead_letters")
        if letters:
            show_table(stdout(), COLUMNS, [_row(letter) for letter in letters])
            stderr().print(safe(f"What is in one: coordinator dead-letters show {letters[0].id}"), soft_wrap=True)
        else:
            stdout().print("No dead letters.")
        _say_what_is_missing(document)
        print_hint(document)


def _row(letter: DeadLetterView) -> list[Any]:
    return [
        safe(letter.id),
        moment(letter.last_at),
        str(letter.times),
        safe(letter.reason.code, "red"),
        safe(letter.request_id),
        safe(letter.source),
        safe(letter.run.request_id if letter.run else "", "green"),
    ]


def _say_what_is_missing(document: dict[str, Any]) -> None:
    said = []
    if dropped := document.get("dropped"):
        said.append(f"{dropped} older ones made room for newer ones and are gone.")
    if not_kept := document.get("not_kept"):
        said.append(
            f"{not_kept} more came in floods and were not kept; the audit has their number: "
            "coordinator audit list --type migration.rejections_counted"
        )
    if damaged := document.get("damaged"):
        said.append(f"What is kept of these cannot be read: {', '.join(map(str, damaged))}")
    for sentence in said:
        stderr().print(safe(sentence, "yellow"), soft_wrap=True)
