"""`coordinator audit report`: one run as a document that a person can read and print."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli import options
from coordinator.cli.audit.progress import progress
from coordinator.cli.audit.verify import Keys
from coordinator.cli.command_context import session
from coordinator.cli.console import print_json, remarks
from coordinator.cli.output_files import refuse_to_overwrite
from coordinator.client.audit_verification import LiveVerdict, Tell, verify_all
from coordinator.client.client import CoordinatorClient
from coordinator.client.errors import BadInput, CannotReach, Refused
from coordinator.client.exit_codes import ExitCode
from coordinator.client.views import read
from coordinator.presentation.terminal_text import safe

if TYPE_CHECKING:
    from audit_verifier.verify import Keys as TrustedKeys
    from coordinator.report.document import Report
    from coordinator.report.inputs import RunFacts

EXAMPLES = options.examples(
    "coordinator audit report --run release-41",
    "coordinator audit report --run release-41 --html release-41.html --pdf release-41.pdf --keys audit-keys.json",
    "coordinator audit report --run release-41 --pdf - | lp",
)
STDOUT = Path("-")
To = Annotated[Path | None, typer.Option(metavar="FILE", help="Where to; - is standard output.")]


def report(
    run: Annotated[str, typer.Option("--run", metavar="ID", help="The request id of the run.")],
    html: To = None,
    pdf: To = None,
    keys: Keys = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if it is there.")] = False,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """Prints one run for people: who asked, who agreed, what was planned, what happened, and what proves it.

    Without --html and --pdf it writes migration-report-ID.pdf. Exit code 1 if the evidence contradicts the report.
    """
    with session(url, as_json=as_json) as client:
        request_id = options.request_id(run)
        if not (html or pdf or as_json):
            pdf = Path(f"migration-report-{request_id}.pdf")
        _refuse_to_mix(html, pdf, as_json=as_json)
        for file in (html, pdf):
            if file and file != STDOUT:
                refuse_to_overwrite(file, force=force)
        try:
            made, contradicted = _made(client, request_id, keys, shown=not as_json)
            files = _rendered(made, html, pdf)
        except ImportError as error:
            raise _not_installed(error) from None
        for file, content in files.items():
            _write(file, content)
        if as_json:
            print_json(made.as_data())
        if contradicted:
            remarks().print(
                "The evidence contradicts what the report shows: read “What was checked”.", style="bold red"
            )
            raise typer.Exit(ExitCode.DOES_NOT_HOLD)


def _made(client: CoordinatorClient, request_id: str, keys: Path | None, *, shown: bool) -> tuple[Report, bool]:
    from coordinator.report.build import report_of
    from coordinator.report.sections.evidence import is_contradicted

    facts = _facts(client, request_id, keys, shown=shown)
    return report_of(facts), is_contradicted(facts)


def _facts(client: CoordinatorClient, request_id: str, keys: Path | None, *, shown: bool) -> RunFacts:
    """Raises BadInput where neither a run record nor an event knows the request."""
    from coordinator.report.collect import events_of, proofs_of, run_record
    from coordinator.report.consistency import disagreements
    from coordinator.report.inputs import Evidence, ReportedRun, RunFacts
    from coordinator.report.run_from_audit import rebuilt

    trusted = None if keys is None else _trusted(keys)
    record, events = run_record(client, request_id), events_of(client, request_id)
    if record is None and not events:
        raise BadInput(
            "Nothing is known of this request",
            f"neither a run record nor the audit names {request_id}",
            "coordinator runs and coordinator audit list have the ids there are",
            code="CM-604",
        )
    with progress("Checking proofs", shown=shown) as tell:
        proofs = proofs_of(client, events, trusted, tell)
    with progress("Verifying the chain", shown=shown) as tell:
        evidence = Evidence(proofs, _chain(client, tell), keys.name if keys else "")
    if record is None:
        return RunFacts(rebuilt(request_id, events), events, evidence, recorded=False)
    return RunFacts(read(ReportedRun, record), events, evidence, disagreements=disagreements(record, events))


def _chain(client: CoordinatorClient, tell: Tell) -> LiveVerdict | None:
    try:
        return verify_all(client, tell)
    except (Refused, CannotReach):
        return None


def _rendered(made: Report, html: Path | None, pdf: Path | None) -> dict[Path, bytes]:
    """Both, before either is written: a report that cannot be made leaves no half of it behind."""
    files = {}
    if html:
        from coordinator.report.html import as_html

        files[html] = as_html(made)
    if pdf:
        from coordinator.report.pdf import as_pdf

        files[pdf] = as_pdf(made)
    return files


def _trusted(file: Path) -> TrustedKeys:
    from audit_verifier import verify

    try:
        return verify.Keys(json.loads(file.read_bytes()))
    except OSError as error:
        why = error.strerror or "it cannot be opened"
    except (verify.Unreadable, verify.Broken, ValueError) as error:
        why = str(error)
    raise BadInput("The keys cannot be read", f"{file}: {why}", "name the file audit-keys.json that you keep")


def _refuse_to_mix(html: Path | None, pdf: Path | None, *, as_json: bool) -> None:
    if [html == STDOUT, pdf == STDOUT, as_json].count(True) > 1:
        raise BadInput(
            "Only one thing fits into standard output", "several were asked for", "name files for the others"
        )


def _write(file: Path, content: bytes) -> None:
    if file == STDOUT:
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
        return
    try:
        file.write_bytes(content)
    except OSError as error:
        raise BadInput("The report cannot be written", f"{file}: {error.strerror}", "name another file") from None
    remarks().print(safe(f"Written: {file}"), soft_wrap=True)


def _not_installed(error: ImportError) -> BadInput:
    return BadInput(
        "Reports cannot be made here",
        f"the package {error.name} is not installed",
        "install this package with its extras: audit, report",
    )
