"""`coordinator audit proof`: one event and the proof that it is unchanged, small enough for an e-mail."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli import options
from coordinator.cli.audit.arguments import Force, Keys, refuse_to_overwrite
from coordinator.cli.audit.file_verification import verdict_on
from coordinator.cli.command_context import session
from coordinator.cli.console import print_json, show_verdict, stderr
from coordinator.client.exit_codes import ExitCode
from coordinator.presentation.terminal_text import safe

EXAMPLES = options.examples(
    "coordinator audit proof 57 -o proof.json",
    "coordinator audit proof c3a6f1d4-7d0b-5f3e-8a44-6b1f0c9a2e57 -o proof.json --keys audit-keys.json",
    "python -m audit_verifier proof.json --keys audit-keys.json",
)


def proof(
    event: Annotated[str, typer.Argument(metavar="SEQ|EVENT_ID", help="The event, by its number or its id.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The file to write; default: stdout.")] = None,
    keys: Keys = None,
    force: Force = False,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """Writes the proof that this event was signed. A file is verified too; exit code 1 if it is not valid."""
    with session(url, as_json=as_json) as client:
        if output:
            refuse_to_overwrite(output, force=force)
        document = client.audit_proof(event)
        line = json.dumps(document, separators=(",", ":")) + "\n"  # a proof is one line
        if output is None:
            sys.stdout.write(line)
            return
        output.write_text(line, encoding="ascii")
        result = verdict_on(output, keys, None)
        if as_json:
            print_json(asdict(result.verdict))
        else:
            show_verdict(result.lines[:1], ok=result.verdict.ok)
            stderr().print(safe(f"Written: {output} ({len(line)} bytes)"), soft_wrap=True)
        raise typer.Exit(ExitCode.DONE if result.verdict.ok else ExitCode.DOES_NOT_HOLD)
