"""The options of `coordinator request` that say in which order, when, and what a failure means."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from coordinator.cli.options import without_unset
from coordinator.client.errors import BadInput

PANEL = "How the run goes on"
Downgrade = Annotated[
    bool,
    typer.Option(
        "--downgrade",
        help="Take databases back to --target SERVICE=REVISION. It needs an approval of somebody else.",
        rich_help_panel=PANEL,
    ),
]
OnFailure = Annotated[
    str | None,
    typer.Option(
        "--on-failure",
        metavar="stop|continue|compensate",
        help="After a failed step: start nothing more (the default), go on with what does not depend on it, or take"
        " back what this run changed.",
        rich_help_panel=PANEL,
    ),
]
MaxFailures = Annotated[
    str | None,
    typer.Option(help="With continue: stop after more than so many failures; 3 or 20%.", rich_help_panel=PANEL),
]
MaxParallel = Annotated[
    int | None, typer.Option(min=1, max=16, help="So many services side by side.", rich_help_panel=PANEL)
]
First = Annotated[
    list[str] | None,
    typer.Option(metavar="SERVICE", help="A canary: the rest waits until it has succeeded.", rich_help_panel=PANEL),
]
PauseBetween = Annotated[
    str | None,
    typer.Option(metavar="SECONDS|resume", help="Wait between two waves, or until resume.", rich_help_panel=PANEL),
]
NeedsApproval = Annotated[
    bool, typer.Option("--needs-approval", help="Somebody else has to approve the plan.", rich_help_panel=PANEL)
]
NotBefore = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Start no step before, as 2026-12-01T22:00:00+01:00.", rich_help_panel=PANEL),
]
Deadline = Annotated[
    str | None, typer.Option(metavar="TIME", help="Start no step after this time.", rich_help_panel=PANEL)
]


def policy_fields(
    *,
    downgrade: bool,
    on_failure: str | None,
    max_failures: str | None,
    max_parallel: int | None,
    first: list[str] | None,
    pause_between: str | None,
    needs_approval: bool,
    not_before: str | None,
    deadline: str | None,
) -> dict[str, Any]:
    """The fields of a request; those that were not named are left out."""
    fields = {
        "action": "downgrade" if downgrade else None,
        "on_failure": on_failure,
        "max_failures": _number_or(max_failures, "%"),
        "max_parallel": max_parallel,
        "first": first or None,
        "pause_between": _number_or(pause_between, "resume"),
        "approval": "required" if needs_approval else None,
        "not_before": not_before,
        "deadline": deadline,
    }
    return without_unset(fields.items())


def _number_or(text: str | None, other: str) -> int | str | None:
    if text is None or text == other or (other == "%" and text.endswith("%")):
        return text
    if not text.isascii() or not text.isdigit():
        raise BadInput("This is not a number", f"{text!r} is neither a whole number nor {other}", "see --help")
    return int(text)
