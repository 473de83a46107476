"""`coordinator dead-letters resubmit`: asks for what a refused event asked for, in one's own name."""

from __future__ import annotations

from typing import Annotated

import typer

from coordinator.cli import options
from coordinator.cli.command_context import session
from coordinator.cli.console import print_json, stderr, stdout
from coordinator.cli.dead_letters.arguments import Letter, letter_name
from coordinator.cli.run_table import show_run
from coordinator.cli.watch_command import watch_run
from coordinator.client.exit_codes import of_run
from coordinator.client.views import RunView, now, read
from coordinator.presentation.formatting import repeated
from coordinator.presentation.terminal_text import safe

EXAMPLES = options.examples(
    "coordinator dead-letters resubmit 5f8a2c1e-0d6b-5c3e-9a44-6b1f0c9a2e57 --watch",
    "coordinator dead-letters resubmit nightly-7 --request-id nightly-7-again",
)


def resubmit(
    letter: Letter,
    request_id: Annotated[
        str | None,
        typer.Option(
            "--request-id",
            help="The id of the run, if the event's own cannot be used or is that of another run (CM-103, CM-601).",
            show_default=False,
        ),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Wait, and show the run until it ends.")] = False,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """Reads the event again by the rules of today, and asks for it in your name. You need the permission `request`.

    The same letter is one run, however often it is resubmitted. It helps where something has changed since: a service
    is in the catalog now, a mistake of the coordinator is mended, or you may do what its publisher may not. What is
    wrong in the event itself stays wrong: send a new request with `coordinator request`.
    """
    with session(url, as_json=as_json) as client:
        body = {} if request_id is None else {"request_id": options.request_id(request_id)}
        asked_at = now()
        document = client.resubmit(letter_name(letter), body)
        run = read(RunView, document)
        if run.was_known_before(asked_at):
            stderr().print(safe(repeated(run), "yellow"), soft_wrap=True)
        if watch:
            raise typer.Exit(watch_run(client, run.request_id, as_json=as_json))
        if as_json:
            print_json(document)
        else:
            show_run(stdout(), run)
            if not run.ended:
                stderr().print(safe(f"To follow it: coordinator watch {run.request_id}"), soft_wrap=True)
        raise typer.Exit(of_run(run.state))
