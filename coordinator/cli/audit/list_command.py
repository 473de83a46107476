"""`coordinator audit list`: the events of the audit, by what was asked."""

from __future__ import annotations

from typing import Annotated

import typer

from coordinator.cli import options, tables
from coordinator.cli.output import answers, print_json, say_more
from coordinator.cli.records import AuditEventView, read_list
from coordinator.cli.session import session


def list_events(
    request: Annotated[str | None, typer.Option(help="Only events of this request.")] = None,
    service: Annotated[str | None, typer.Option(help="Only events of this service.")] = None,
    event_type: Annotated[str | None, typer.Option("--type", help="Such as migration.finished.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    cursor: Annotated[str | None, typer.Option(help="Go on where a former page ended.")] = None,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """Lists audit events in the order they were recorded."""
    with session(url, as_json=as_json) as client:
        wanted = {"request_id": request, "service": service, "type": event_type, "limit": limit, "cursor": cursor}
        document = client.audit(options.given(wanted.items()))
        if as_json:
            print_json(document)
        else:
            tables.show_audit(answers(), read_list(AuditEventView, document, "events"))
            say_more(document)
