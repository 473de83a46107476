"""`coordinator audit verify`: is the audit still what was recorded and signed?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli import options
from coordinator.cli.audit.file_verification import verdict_on
from coordinator.cli.audit.progress import progress
from coordinator.cli.command_context import session
from coordinator.cli.console import answers, print_json
from coordinator.client.audit_verification import verify_all
from coordinator.client.errors import BadInput
from coordinator.client.exit_codes import ExitCode
from coordinator.presentation.terminal_text import safe

EXAMPLES = options.examples(
    "coordinator audit verify",
    "coordinator audit verify export.jsonl --keys audit-keys.json --anchors anchors.jsonl",
    "coordinator audit verify proof.json --keys audit-keys.json",
)
Keys = Annotated[Path | None, typer.Option(help="audit-keys.json, from a place you trust; tells who signed.")]
Anchors = Annotated[Path | None, typer.Option(help="The anchors kept outside the database; tells whether any is cut.")]


def verify(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="An export or a proof, verified without any server.")
    ] = None,
    keys: Keys = None,
    anchors: Anchors = None,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """Verifies the audit as it is stored now, or a file that came out of it.

    Exit code 1 if anything is not what was recorded; the first bad seq is named.
    """
    with session(url, as_json=as_json) as client:
        if file is None:
            _refuse_files(keys, anchors)
            with progress("Verifying", shown=not as_json) as tell:
                verdict = verify_all(client, tell)
            document, ok, lines = verdict.model_dump(mode="json"), verdict.ok, verdict.lines()
        else:
            found = verdict_on(file, keys, anchors)
            document, ok, lines = asdict(found.verdict), found.verdict.ok, found.lines
        if as_json:
            print_json(document)
        else:
            for number, line in enumerate(lines):
                style = "dim" if number else "green" if ok else "bold red"
                answers().print(safe(line, style), soft_wrap=True)
        raise typer.Exit(ExitCode.DONE if ok else ExitCode.DOES_NOT_HOLD)


def _refuse_files(keys: Path | None, anchors: Path | None) -> None:
    if keys or anchors:
        raise BadInput(
            "Keys and anchors belong to a file",
            "the audit in its database is verified by its service, with the keys and anchors it keeps",
            "name the file to verify, or leave out --keys and --anchors; coordinator audit export makes such a file",
        )
