"""`coordinator audit export`: writes events and their proofs into one file that can be verified anywhere."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from coordinator.cli import options
from coordinator.cli.audit.arguments import Anchors, Force, Keys, moment, refuse_to_overwrite
from coordinator.cli.audit.export_download import Download, Span
from coordinator.cli.audit.file_verification import verdict_on
from coordinator.cli.audit.progress import progress
from coordinator.cli.command_context import session
from coordinator.cli.console import print_json, show_verdict, stderr
from coordinator.client.audit_views import AuditEventView
from coordinator.client.client import CoordinatorClient
from coordinator.client.errors import BadInput
from coordinator.client.exit_codes import ExitCode
from coordinator.client.views import read_list
from coordinator.presentation.terminal_text import safe

EXAMPLES = options.examples(
    "coordinator audit export -o audit.jsonl",
    "coordinator audit export --from 2026-10-01 --to 2027-01-01 -o fourth-quarter.jsonl --keys audit-keys.json",
    "coordinator audit export --from 1 --to 5000 -o first.jsonl",
)


def export(
    output: Annotated[Path, typer.Option("-o", "--output", help="The file to write.")],
    since: Annotated[
        str | None,
        typer.Option("--from", metavar="SEQ|MOMENT", help="First event: a number, or a time (recorded then or later)."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--to", metavar="SEQ|MOMENT", help="Last event: a number, or a time (recorded before then)."),
    ] = None,
    keys: Keys = None,
    anchors: Anchors = None,
    force: Force = False,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """Writes events and their proofs into one file, and verifies that file. Exit code 1 if it is not valid.

    A file that is not valid stays, because it is evidence. An incomplete file is deleted.
    """
    with session(url, as_json=as_json) as client:
        refuse_to_overwrite(output, force=force)
        newest = _bound(client, {"order": "newest"})
        span = Span(_first(client, since), _last(client, until))
        total = max(0, min(newest or 0, span.last or newest or 0) - span.first + 1)
        unfinished = output.with_name(f"{output.name}.part")
        try:
            with unfinished.open("w+b") as file, progress("Exporting", shown=not as_json) as on_progress:
                Download(client, file, span, on_progress, total).run()
            unfinished.replace(output)
        except OSError as error:
            raise BadInput("The file cannot be written", str(error.strerror), "name another place") from None
        finally:
            unfinished.unlink(missing_ok=True)
        result = verdict_on(output, keys, anchors)
        if as_json:
            print_json(asdict(result.verdict))
        else:
            show_verdict(result.lines, ok=result.verdict.ok)
            stderr().print(safe(f"Written: {output} ({output.stat().st_size} bytes)"), soft_wrap=True)
        raise typer.Exit(ExitCode.DONE if result.verdict.ok else ExitCode.DOES_NOT_HOLD)


def _first(client: CoordinatorClient, text: str | None) -> int:
    if text is None or text.isdecimal():
        return int(text or 1)
    seq = _bound(client, {"from": moment(text)})
    if seq is None:
        raise BadInput("There is nothing to export", f"nothing was recorded from {text} on", "begin earlier")
    return seq


def _last(client: CoordinatorClient, text: str | None) -> int | None:
    if text is None or text.isdecimal():
        return None if text is None else int(text)
    seq = _bound(client, {"to": moment(text), "order": "newest"})
    if seq is None:
        raise BadInput("There is nothing to export", f"nothing was recorded before {text}", "end later")
    return seq


def _bound(client: CoordinatorClient, parameters: dict[str, Any]) -> int | None:
    """The number of the first event that matches, or None if no event matches."""
    events = read_list(AuditEventView, client.audit({**parameters, "limit": 1}), "events")
    return events[0].seq if events else None
