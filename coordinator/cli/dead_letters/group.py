"""The group of commands `coordinator dead-letters`; `cli.app` registers it."""

from __future__ import annotations

import typer

from coordinator.cli.dead_letters import list_letters, resubmit, show

dead_letters = typer.Typer(
    name="dead-letters",
    no_args_is_help=True,
    help="Shows events that were refused, and makes runs of them after all.",
    rich_markup_mode="markdown",
)
# The help shows them in this order.
dead_letters.command("list", epilog=list_letters.EXAMPLES)(list_letters.list_letters)
dead_letters.command("show", epilog=show.EXAMPLES)(show.show)
dead_letters.command("resubmit", epilog=resubmit.EXAMPLES)(resubmit.resubmit)
