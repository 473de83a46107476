"""`coordinator audit report`: writes a report of one run as HTML or PDF."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli import options
from coordinator.cli.audit.arguments import Force, Keys, refuse_to_overwrite
from coordinator.cli.audit.progress import progress
from coordinator.cli.command_context import session
from coordinator.cli.console import print_json, stderr
from coordinator.client.audit_verification import LiveVerdict, ProgressCallback, verify_all
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
To = Annotated[Path | None, typer.Option(metavar="FILE", help="The file to write; - is standard output.")]


def report(
    run: Annotated[str, typer.Option("--run", metavar="ID", help="The request id of the run.")],
    html: To = None,
    pdf: To = None,
    keys: Keys = None,
    force: Force = False,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """Writes a report of one run: who requested it, who approved it, the plan, what happened, and the evidence.

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
            document, contradicted = _build(client, request_id, keys, shown=not as_json)
            files = _render(document, html, pdf)
        except ImportError as error:
            raise _not_installed(error) from None
        for file, content in files.items():
            _write(file, content)
        if as_json:
            print_json(document.as_data())
        if contradicted:
            stderr().print("The evidence contradicts what the report shows: read “What was checked”.", style="bold red")
            raise typer.Exit(ExitCode.DOES_NOT_HOLD)


def _build(client: CoordinatorClient, request_id: str, keys: Path | None, *, shown: bool) -> tuple[Report, bool]:
    from coordinator.report.build import report_of
    from coordinator.report.sections.evidence import contradicts_record

    facts = _facts(client, request_id, keys, shown=shown)
    return report_of(facts), contradicts_record(facts)


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
            "coordinator runs and coordinator audit list show the known ids",
            code="CM-604",
        )
    with progress("Checking proofs", shown=shown) as tell:
        proofs = proofs_of(client, events, trusted, tell)
    with progress("Verifying the chain", shown=shown) as tell:
        evidence = Evidence(proofs, _chain(client, tell), keys.name if keys else "")
    if record is None:
        return RunFacts(rebuilt(request_id, events), events, evidence, recorded=False)
    return RunFacts(read(ReportedRun, record), events, evidence, disagreements=disagreements(record, events))


def _chain(client: CoordinatorClient, on_progress: ProgressCallback) -> LiveVerdict | None:
    try:
        return verify_all(client, on_progress)
    except (Refused, CannotReach):
        return None


def _render(document: Report, html: Path | None, pdf: Path | None) -> dict[Path, bytes]:
    """Renders both files before one is written, so that a failure leaves no file behind."""
    files = {}
    if html:
        from coordinator.report.html import as_html

        files[html] = as_html(document)
    if pdf:
        from coordinator.report.pdf import as_pdf

        files[pdf] = as_pdf(document)
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
            "Standard output can take only one format", "several were asked for", "name files for the others"
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
    stderr().print(safe(f"Written: {file}"), soft_wrap=True)


def _not_installed(error: ImportError) -> BadInput:
    return BadInput(
        "Reports cannot be made here",
        f"the package {error.name} is not installed",
        "install this package with its extras: audit, report",
    )
