"""Which commands `coordinator audit` has, in the order its help shows them."""

from __future__ import annotations

import typer

from coordinator.cli import options
from coordinator.cli.audit import export, list_events, proof, report, show, verify
from coordinator.cli.audit.reconcile import reconcile

audit = typer.Typer(name="audit", no_args_is_help=True, help="Reads the fleet's audit.", rich_markup_mode="markdown")


audit.command("list", epilog=list_events.EXAMPLES)(list_events.list_events)
audit.command("show", epilog=show.EXAMPLES)(show.show)
audit.command("verify", epilog=verify.EXAMPLES)(verify.verify)
audit.command("export", epilog=export.EXAMPLES)(export.export)
audit.command("proof", epilog=proof.EXAMPLES)(proof.proof)
audit.command("report", epilog=report.EXAMPLES)(report.report)
audit.command(
    "reconcile",
    epilog=options.examples(
        "coordinator audit reconcile",
        "coordinator audit reconcile cds-client cds-task --wait 30",
        "coordinator audit reconcile --json",
    ),
)(reconcile)
