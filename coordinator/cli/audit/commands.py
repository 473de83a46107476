"""Which commands `coordinator audit` has, in the order its help shows them."""

from __future__ import annotations

import typer

from coordinator.cli import options
from coordinator.cli.audit.list_command import list_events
from coordinator.cli.audit.reconcile import reconcile

audit = typer.Typer(name="audit", no_args_is_help=True, help="Reads the fleet's audit.", rich_markup_mode="markdown")


@audit.callback()
def audit_group() -> None:
    """Keeps `list` a command of its own while it is the only one."""


audit.command(
    "list",
    epilog=options.examples(
        "coordinator audit list --request release-41",
        "coordinator audit list --service cds-client --type revision.applied --limit 20",
    ),
)(list_events)
audit.command(
    "reconcile",
    epilog=options.examples(
        "coordinator audit reconcile",
        "coordinator audit reconcile cds-client cds-task --wait 30",
        "coordinator audit reconcile --json",
    ),
)(reconcile)
