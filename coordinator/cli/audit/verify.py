"""`coordinator audit verify`: whether the audit, or a file from it, is unchanged since it was signed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli import options
from coordinator.cli.audit.arguments import Anchors, Keys
from coordinator.cli.audit.file_verification import verdict_on
from coordinator.cli.audit.progress import progress
from coordinator.cli.command_context import session
from coordinator.cli.console import print_json, show_verdict
from coordinator.client.audit_verification import verify_all
from coordinator.client.errors import BadInput
from coordinator.client.exit_codes import ExitCode

EXAMPLES = options.examples(
    "coordinator audit verify",
    "coordinator audit verify export.jsonl --keys audit-keys.json --anchors anchors.jsonl",
    "coordinator audit verify proof.json --keys audit-keys.json",
)


def verify(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="An export or a proof, verified without any server.")
    ] = None,
    keys: Keys = None,
    anchors: Anchors = None,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """Verifies the audit as it is stored now, or a file that was exported from it.

    Exit code 1 if anything was changed; the first bad seq is named.
    """
    with session(url, as_json=as_json) as client:
        if file is None:
            _refuse_files(keys, anchors)
            with progress("Verifying", shown=not as_json) as on_progress:
                verdict = verify_all(client, on_progress)
            document, ok, lines = verdict.model_dump(mode="json"), verdict.ok, verdict.lines()
        else:
            result = verdict_on(file, keys, anchors)
            document, ok, lines = asdict(result.verdict), result.verdict.ok, result.lines
        if as_json:
            print_json(document)
        else:
            show_verdict(lines, ok=ok)
        raise typer.Exit(ExitCode.DONE if ok else ExitCode.DOES_NOT_HOLD)


def _refuse_files(keys: Path | None, anchors: Path | None) -> None:
    if keys or anchors:
        raise BadInput(
            "Keys and anchors belong to a file",
            "the audit in its database is verified by its service, with the keys and anchors it keeps",
            "name the file to verify, or leave out --keys and --anchors; coordinator audit export makes such a file",
        )
