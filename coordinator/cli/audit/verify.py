"""`coordinator audit verify`: whether the audit, or a file from it, is unchanged since it was signed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli import options
from coordinator.cli.audit.arguments import Anchors, Keys, NotOlderThan, Segments, oldest_allowed
from coordinator.cli.audit.file_verification import verdict_on
from coordinator.cli.audit.progress import progress
from coordinator.cli.audit.sealed_segments import covered_by, unseen_events, verified_segments
from coordinator.cli.command_context import session
from coordinator.cli.console import print_json, show_verdict
from coordinator.client.audit_verification import verify_all
from coordinator.client.errors import BadInput
from coordinator.client.exit_codes import ExitCode
from coordinator.client.views import now

EXAMPLES = options.examples(
    "coordinator audit verify",
    "coordinator audit verify export.jsonl --keys audit-keys.json --anchors anchors.jsonl",
    "coordinator audit verify --not-older-than 24h",
    "coordinator audit verify --segment segment-1-123.jsonl --keys audit-keys.json",
    "coordinator audit verify proof.json --keys audit-keys.json",
)


def verify(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="An export or a proof, verified without any server.")
    ] = None,
    keys: Keys = None,
    anchors: Anchors = None,
    segment: Segments = None,
    not_older_than: NotOlderThan = None,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """Verifies the audit as it is stored now, or a file that was exported from it.

    Exit codes: 0 nothing was changed, 1 something was and the first bad seq is named, 3 events are in sealed segments
    whose files were not given, and so were not seen.
    """
    with session(url, as_json=as_json) as client:
        oldest = oldest_allowed(not_older_than, now())
        if file is None:
            _refuse_files(None if segment else keys, anchors)
            with progress("Verifying", shown=not as_json) as on_progress:
                verdict = verify_all(client, on_progress).required_since(oldest)
            segments = verified_segments(segment or [], keys, verdict)
            unseen = unseen_events(covered_by(segments, verdict), verdict.retired_until)
            seen = unseen is None
            document, ok = verdict.model_dump(mode="json") | {"not_seen": unseen}, verdict.ok
            lines = [*verdict.lines(), *([f"Verified too: {each.file}." for each in segments] if seen else [])]
        else:
            result = verdict_on(file, keys, anchors, segment or [], not_older_than=oldest)
            document, ok, lines = asdict(result.verdict), result.verdict.ok, result.lines
            seen = not result.verdict.unseen
        if as_json:
            print_json(document)
        else:
            show_verdict(lines, ok=ok)
        raise typer.Exit(_exit_code(ok=ok, seen=seen))


def _exit_code(*, ok: bool, seen: bool) -> ExitCode:
    if not ok:
        return ExitCode.DOES_NOT_HOLD
    return ExitCode.DONE if seen else ExitCode.CANNOT_REACH


def _refuse_files(keys: Path | None, anchors: Path | None) -> None:
    if keys or anchors:
        raise BadInput(
            "Keys and anchors belong to a file",
            "the audit in its database is verified by its service, with the keys and anchors it keeps",
            "name the file to verify, or leave out --keys and --anchors; coordinator audit export makes such a file",
        )
