"""`coordinator audit list`: the events of the audit that match the options."""

from __future__ import annotations

from typing import Annotated

import typer

from coordinator.cli import options, tables
from coordinator.cli.audit.arguments import moment
from coordinator.cli.command_context import session
from coordinator.cli.console import print_hint, print_json, stderr, stdout
from coordinator.client.audit_views import AuditEventView
from coordinator.client.views import read_list

EXAMPLES = options.examples(
    "coordinator audit list --request release-41",
    "coordinator audit list --service cds-client --type 'revision.*' --newest --limit 20",
    "coordinator audit list --from 2026-10-01 --to 2027-01-01 --outcome failed",
    "coordinator audit list --revision 0a1b2c3d4e5f --json",
)

REFUSED = "To list refused messages without a known id: coordinator audit list --type migration.rejected"


def list_events(
    request: Annotated[str | None, typer.Option(help="Only events of this request.")] = None,
    service: Annotated[str | None, typer.Option(help="Only events of this service.")] = None,
    database: Annotated[str | None, typer.Option(help="Only events of this database.")] = None,
    event_type: Annotated[
        list[str] | None, typer.Option("--type", help="Such as migration.finished or 'revision.*'; repeatable.")
    ] = None,
    actor: Annotated[str | None, typer.Option(help="Only what this person or service requested or did.")] = None,
    outcome: Annotated[str | None, typer.Option(help="Such as failed, applied, or a code like CM-404.")] = None,
    revision: Annotated[str | None, typer.Option(help="Only events about this revision.")] = None,
    since: Annotated[
        str | None, typer.Option("--from", metavar="MOMENT", help="Recorded at this time or later, such as 2026-11-22.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="MOMENT", help="Recorded earlier; a day means its midnight, UTC.")
    ] = None,
    newest: Annotated[bool, typer.Option("--newest", help="The newest first, instead of the oldest.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The largest number of events.")] = 100,
    cursor: Annotated[str | None, typer.Option(help="Continue after an earlier page, with its cursor.")] = None,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """Lists audit events in the order they were recorded."""
    with session(url, as_json=as_json) as client:
        parameters = {
            "request_id": request,
            "service": service,
            "database": database,
            "type": ",".join(event_type) if event_type else None,
            "actor": actor,
            "outcome": outcome,
            "revision": revision,
            "from": moment(since) if since else None,
            "to": moment(until) if until else None,
            "order": "newest" if newest else None,
            "limit": limit,
            "cursor": cursor,
        }
        document = client.audit(options.without_unset(parameters.items()))
        if as_json:
            print_json(document)
        else:
            events = read_list(AuditEventView, document, "events")
            tables.show_audit(stdout(), events)
            if request and not events:
                # A refused message may be recorded without a request id.
                stderr().print(REFUSED, soft_wrap=True)
            print_hint(document)
