"""The commands that ask for runs and show them; those of `audit`, `dead-letters` and `publish` are registered here."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from coordinator.cli import options, tables
from coordinator.cli.audit import export, list_events, proof, reconcile, report, show, verify
from coordinator.cli.audit.operator_actions import acknowledge
from coordinator.cli.command_context import session
from coordinator.cli.console import print_hint, print_json, say_damaged, stderr, stdout
from coordinator.cli.dead_letters.group import dead_letters
from coordinator.cli.plan_table import show_fleet_plan
from coordinator.cli.publish_command import EXAMPLES, publish
from coordinator.cli.run_table import show_run
from coordinator.cli.steering import policy_options as policy
from coordinator.cli.steering import verbs
from coordinator.cli.watch_command import watch_run
from coordinator.client.audit_views import AuditStandingView
from coordinator.client.exit_codes import ExitCode, of_run
from coordinator.client.views import FleetPlanView, RunView, ServiceView, now, read, read_list
from coordinator.presentation.formatting import repeated
from coordinator.presentation.terminal_text import safe

app = typer.Typer(
    name="coordinator",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
audit = typer.Typer(name="audit", no_args_is_help=True, help="Reads the fleet's audit.", rich_markup_mode="markdown")
# The help shows them in this order.
audit.command("list", epilog=list_events.EXAMPLES)(list_events.list_events)
audit.command("show", epilog=show.EXAMPLES)(show.show)
audit.command("verify", epilog=verify.EXAMPLES)(verify.verify)
audit.command("export", epilog=export.EXAMPLES)(export.export)
audit.command("proof", epilog=proof.EXAMPLES)(proof.proof)
audit.command("report", epilog=report.EXAMPLES)(report.report)
audit.command("reconcile", epilog=reconcile.EXAMPLES)(reconcile.reconcile)
audit.command("acknowledge", epilog=acknowledge.EXAMPLES)(acknowledge.acknowledge)
app.add_typer(audit)
app.add_typer(dead_letters)


@app.callback()
def coordinator() -> None:
    """Migrates the databases of the fleet, in order, and shows what happened.

    Exit codes: 0 done, 1 the migration failed or the audit does not hold, 2 bad input, 3 cannot reach the coordinator,
    4 a person is needed.

    A first look: `coordinator fleet`, then `coordinator plan --all`, then `coordinator request --all --watch`.
    """


@app.command(
    epilog=options.examples(
        "coordinator request --all --watch",
        "coordinator request cds-client cds-task --dry-run --watch",
        "coordinator request --all --request-id release-41 --reason 'release 41' --json",
        "coordinator request --target cds-client=0a1b2c3d4e5f",
        "coordinator request --all --first cds-client --pause-between resume --on-failure compensate",
    )
)
def request(
    services: options.Services = None,
    everything: options.All = False,
    watch: Annotated[bool, typer.Option("--watch", help="Wait, and show the run until it ends.")] = False,
    request_id: options.NewRequestId = None,
    reason: options.Reason = None,
    dry_run: options.DryRun = False,
    target: options.Targets = None,
    beside_other_tables: options.Beside = None,
    downgrade: policy.Downgrade = False,
    on_failure: policy.OnFailure = None,
    max_failures: policy.MaxFailures = None,
    max_parallel: policy.MaxParallel = None,
    first: policy.First = None,
    pause_between: policy.PauseBetween = None,
    needs_approval: policy.NeedsApproval = False,
    not_before: policy.NotBefore = None,
    deadline: policy.Deadline = None,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """Asks for a migration. Without --watch it returns as soon as the request is accepted (exit code 0)."""
    with session(url, as_json=as_json) as client:
        chosen = options.selection(services, everything, target, beside_other_tables)
        chosen |= policy.policy_fields(
            downgrade=downgrade,
            on_failure=on_failure,
            max_failures=max_failures,
            max_parallel=max_parallel,
            first=first,
            pause_between=pause_between,
            needs_approval=needs_approval,
            not_before=not_before,
            deadline=deadline,
        )
        body = options.request_body(request_id, chosen, reason=reason, dry_run=dry_run)
        identity, asked_at = body["request_id"], now()
        document = client.request(body)
        run = read(RunView, document)
        is_old_run = run.was_known_before(asked_at)
        if is_old_run:
            stderr().print(safe(repeated(run), "yellow"), soft_wrap=True)
        if watch:
            if not (as_json or is_old_run):
                stderr().print(f"Accepted as {identity}")
            raise typer.Exit(watch_run(client, identity, as_json=as_json))
        if as_json:
            print_json(document)
        else:
            show_run(stdout(), run)
            if not run.ended:
                stderr().print(f"To follow it: coordinator watch {identity}")


app.command("publish", epilog=EXAMPLES)(publish)


@app.command(
    epilog=options.examples("coordinator runs --state failed --limit 5", "coordinator runs --service cds-client --json")
)
def runs(
    state: Annotated[str | None, typer.Option(help="Only runs in this state, such as failed.")] = None,
    service: Annotated[str | None, typer.Option(help="Only runs with a step for this service.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="The largest number of runs; the newest come first.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Continue after an earlier page, with its cursor.")] = None,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """Lists runs, the newest first."""
    with session(url, as_json=as_json) as client:
        parameters = {"state": state, "service": service, "limit": limit, "cursor": cursor}
        document = client.runs(options.without_unset(parameters.items()))
        if as_json:
            print_json(document)
        else:
            tables.show_runs(stdout(), read_list(RunView, document, "runs", "migrations"))
            print_hint(document)
            say_damaged(document)


@app.command(epilog=options.examples("coordinator status release-41"))
def status(request_id: options.RequestIdArgument, url: options.Url = None, as_json: options.Json = False) -> None:
    """Shows one run: each step, and what went wrong. The exit code says how the run ended (0 while it is running)."""
    with session(url, as_json=as_json) as client:
        document = client.run_now(options.request_id(request_id))
        run = read(RunView, document)
        print_json(document) if as_json else show_run(stdout(), run)
        raise typer.Exit(of_run(run.state))


@app.command(epilog=options.examples("coordinator watch release-41"))
def watch(request_id: options.RequestIdArgument, url: options.Url = None, as_json: options.Json = False) -> None:
    """Follows a run until it ends; Ctrl-C stops this command, but not the run."""
    with session(url, as_json=as_json) as client:
        raise typer.Exit(watch_run(client, options.request_id(request_id), as_json=as_json))


@app.command(epilog=options.examples("coordinator plan --all", "coordinator plan cds-client --sql"))
def plan(
    services: options.Services = None,
    everything: options.All = False,
    target: options.Targets = None,
    beside_other_tables: options.Beside = None,
    sql: Annotated[bool, typer.Option("--sql", help="Also show the SQL, if it can be rendered.")] = False,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """Shows what a request would do. Changes nothing and records nothing; exit code 4 if there are obstacles."""
    with session(url, as_json=as_json) as client:
        chosen = options.selection(services, everything, target, beside_other_tables)
        document = client.plan(chosen, with_sql=sql)
        fleet_plan = read(FleetPlanView, document)
        print_json(document) if as_json else show_fleet_plan(stdout(), fleet_plan, with_sql=sql)
        raise typer.Exit(ExitCode.PERSON_NEEDED if fleet_plan.obstacles else ExitCode.DONE)


@app.command(epilog=options.examples("coordinator fleet", "coordinator fleet --json"))
def fleet(url: options.Url = None, as_json: options.Json = False) -> None:
    """Shows the revision of every database and its service's head; exit code 3 if a service cannot be reached."""
    with session(url, as_json=as_json) as client:
        document = client.fleet()
        services = read_list(ServiceView, document, "services", "fleet")
        if as_json:
            print_json(document)
        else:
            tables.show_fleet(stdout(), services)
            tables.show_audit_availability(stdout(), read(AuditStandingView, document.get("audit") or {}))
        unreachable = any(service.state == "unreachable" for service in services)
        raise typer.Exit(ExitCode.CANNOT_REACH if unreachable else ExitCode.DONE)


verbs.register(app)


def main() -> None:
    """The entry point of the `coordinator` command."""
    for stream in (sys.stdout, sys.stderr):
        # If the encoding of a terminal lacks a character, print its escape and do not fail.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    app()
