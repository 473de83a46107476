"""The commands that steer a run: pause, resume, cancel, retry, approve, reject. Each says who and why."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import uuid4

import typer

from coordinator.cli import options
from coordinator.cli.command_context import session
from coordinator.cli.console import print_json, stderr, stdout
from coordinator.cli.run_table import show_run
from coordinator.cli.watch_command import watch_run
from coordinator.client.exit_codes import of_run
from coordinator.client.views import RunView, read

Why = Annotated[str, typer.Option("--reason", help="Why; it is kept in the record and in the audit.")]
Watch = Annotated[bool, typer.Option("--watch", help="Then follow the run until it ends.")]


def register(app: typer.Typer) -> None:
    """Adds the commands to the application, in the order in which the help shows them."""
    for command, example in (
        (pause, "coordinator pause release-41 --reason 'the load is too high'"),
        (resume, "coordinator resume release-41 --reason 'the load is normal again' --watch"),
        (cancel, "coordinator cancel release-41 --reason 'the release is called off'"),
        (retry, "coordinator retry release-41 --reason 'client_0007 is corrected' --watch"),
        (approve, "coordinator approve release-41 --plan 3f5a... --reason 'reviewed with Ann'"),
        (reject, "coordinator reject release-41 --reason 'not before the end of the month'"),
    ):
        app.command(epilog=options.examples(example))(command)


def pause(
    request_id: options.RequestIdArgument,
    reason: Why,
    now: Annotated[bool, typer.Option("--now", help="Stop the step under way at its next whole revision.")] = False,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """Pauses a run after the step under way; it goes on when somebody resumes it."""
    _command("pause", request_id, {"reason": reason, "now": now or None}, url, as_json=as_json)


def resume(
    request_id: options.RequestIdArgument,
    reason: Why,
    watch: Watch = False,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """Goes on with a paused run; also ends the pause between two waves."""
    _command("resume", request_id, {"reason": reason}, url, as_json=as_json, watch=watch)


def cancel(
    request_id: options.RequestIdArgument, reason: Why, url: options.Url = None, as_json: options.Json = False
) -> None:
    """Cancels a run. The step under way stops at a whole revision; what was applied stays applied."""
    _command("cancel", request_id, {"reason": reason}, url, as_json=as_json)


def retry(
    request_id: options.RequestIdArgument,
    reason: Why,
    watch: Watch = False,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """Tries a failed run again: the failed step and what follows it, under the same request id."""
    _command("retry", request_id, {"reason": reason}, url, as_json=as_json, watch=watch)


def approve(
    request_id: options.RequestIdArgument,
    reason: Why,
    plan: Annotated[
        str, typer.Option("--plan", metavar="DIGEST", help="The digest of the plan, as coordinator status shows it.")
    ],
    watch: Watch = False,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """Approves the plan of a run that waits for it. Whoever asked for the run cannot approve it."""
    _command("approve", request_id, {"reason": reason, "plan_digest": plan}, url, as_json=as_json, watch=watch)


def reject(
    request_id: options.RequestIdArgument, reason: Why, url: options.Url = None, as_json: options.Json = False
) -> None:
    """Rejects the plan of a run that waits for an approval, which ends the run."""
    _command("reject", request_id, {"reason": reason}, url, as_json=as_json)


def _command(
    verb: str,
    request_id: str,
    facts: dict[str, Any],
    url: str | None,
    *,
    as_json: bool,
    watch: bool = False,
) -> None:
    """Gives the command; the id is made here, so that a repeat after a lost answer is the same command."""
    with session(url, as_json=as_json) as client:
        identity = options.request_id(request_id)
        who = {"requested_by": options.user_name(), "command_id": str(uuid4())}
        document = client.command(identity, verb, options.without_unset({**facts, **who}.items()))
        if watch:
            raise typer.Exit(watch_run(client, identity, as_json=as_json))
        run = read(RunView, document)
        if as_json:
            print_json(document)
        else:
            show_run(stdout(), run)
            if not run.ended:
                stderr().print(f"To follow it: coordinator watch {identity}")
        if verb in ("resume", "approve", "retry"):
            raise typer.Exit(of_run(run.state))
