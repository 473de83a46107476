"""`coordinator audit acknowledge`: an operator answers for a gap that nothing can mend."""

from __future__ import annotations

from typing import Annotated

import typer

from coordinator.cli import options
from coordinator.cli.command_context import session
from coordinator.cli.console import print_json, stdout
from coordinator.presentation.terminal_text import safe

EXAMPLES = options.examples("coordinator audit acknowledge 93 --reason 'sent twice by a test of the relay, see INC-7'")


def acknowledge(
    seq: Annotated[int, typer.Argument(min=1, help="The number that reconcile names last in the gap's sentence.")],
    reason: Annotated[str, typer.Option("--reason", help="What came of it, for the audit.", show_default=False)],
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """Answers for a gap of reconcile: an event that was told twice (audit.conflict), or a record without a signature.

    It is recorded in the audit with your name. From then on reconcile counts the gap aloud and does not fail for it.
    You need a key or a token of an operator who may `admin`. Look at the gap first: nobody takes an
    acknowledgement back.
    """
    with session(url, as_json=as_json) as client:
        event = client.acknowledge({"seq": seq, "reason": reason})
        if as_json:
            print_json(event)
        else:
            text = f"Acknowledged by {event.get('actor')}: audit event {seq}. It is in the audit, or on its way."
            stdout().print(safe(text), soft_wrap=True)
