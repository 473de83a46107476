"""`coordinator audit show`: the events of one run, or one event with all its fields."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from coordinator.cli import options
from coordinator.cli.audit.run_timeline import show_story
from coordinator.cli.command_context import session
from coordinator.cli.console import print_json, stdout
from coordinator.client.audit_views import RunStoryView
from coordinator.client.client import CoordinatorClient
from coordinator.client.errors import BadInput
from coordinator.client.views import read
from coordinator.presentation.terminal_text import safe

EXAMPLES = options.examples(
    "coordinator audit show release-41",
    "coordinator audit show --event 57",
    "coordinator audit show --event c3a6f1d4-7d0b-5f3e-8a44-6b1f0c9a2e57 --json",
)


def show(
    request_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="The request id of a run.")] = None,
    event: Annotated[
        str | None, typer.Option("--event", metavar="SEQ|EVENT_ID", help="One event instead, by its number or its id.")
    ] = None,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """Shows the events of one run from its request to its end, or one event with all its fields."""
    with session(url, as_json=as_json) as client:
        document = _read_document(client, request_id, event)
        if as_json:
            print_json(document)
        elif event is None:
            show_story(stdout(), read(RunStoryView, document))
        else:
            _show_event(stdout(), document)


def _read_document(client: CoordinatorClient, request_id: str | None, event: str | None) -> dict[str, Any]:
    if (request_id is None) == (event is None):
        raise BadInput(
            "Nothing to show was named",
            "name either a request id or, with --event, one event",
            "coordinator runs lists the runs, coordinator audit list the events",
        )
    if event is not None:
        return client.audit_event(event)
    return client.audit_run(options.request_id(request_id or ""))


def _show_event(console: Console, document: dict[str, Any]) -> None:
    """Prints every field as it was recorded, also fields that this release does not know."""
    width = max(map(len, document), default=0)
    for name, value in {"seq": document.get("seq"), **document}.items():
        if value is None or value == {}:
            continue
        shown = json.dumps(value, indent=2, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
        first, *others = shown.splitlines() or [""]
        console.print(Text(f"{name:{width}}  ", "bold").append_text(safe(first)), soft_wrap=True)
        for line in others:
            console.print(Text(" " * (width + 2)).append_text(safe(line)), soft_wrap=True)
