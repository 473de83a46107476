"""`coordinator audit reconcile`: compares the journals, the run records and the audit."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console

from coordinator.cli import options
from coordinator.cli.audit.arguments import Keys, Segments
from coordinator.cli.audit.reconcile_sources import ReconciliationReader
from coordinator.cli.audit.sealed_segments import add_segments, covered_by, unseen_events, verified_segments
from coordinator.cli.command_context import session
from coordinator.cli.console import print_json, stderr, stdout
from coordinator.cli.table_layout import Column, Row, show_table
from coordinator.client.audit_verification import LiveVerdict, verify_all
from coordinator.client.exit_codes import ExitCode
from coordinator.domain.reconciliation.acknowledgements import KINDS, Acknowledgement
from coordinator.domain.reconciliation.discrepancy import Discrepancy, Kind
from coordinator.domain.reconciliation.reconciliation import Reconciliation
from coordinator.presentation.terminal_text import safe

Counted = dict[str, Any]
MAX_SHOWN = 200
HOW_TO_ACKNOWLEDGE = (
    "Nothing mends an event that was told twice, or a record without a signature. Once you know what came of it:"
    " coordinator audit acknowledge NUMBER --reason TEXT, with the number of the last event that the sentence names."
)
COLUMNS = (Column("service"), Column("journal rows"), Column("gaps"), Column("note", folds=True))


EXAMPLES = options.examples(
    "coordinator audit reconcile",
    "coordinator audit reconcile cds-client cds-task --wait 30",
    "coordinator audit reconcile --json",
)


def reconcile(
    services: options.Services = None,
    wait: Annotated[
        float, typer.Option(min=0, max=600, help="Seconds to wait for events on their way to the audit.")
    ] = 10,
    segment: Segments = None,
    keys: Keys = None,
    url: options.Url = None,
    as_json: options.Json = False,
) -> None:
    """Compares the journals of all services, the run records and the audit, in both directions, and names every gap.

    Run records are always compared; naming services limits the journals that are read. Exit codes: 0 everything is
    accounted for, 1 gaps were found, 3 something was not compared: a journal could not be read, the file of a sealed
    segment was not given, or events are still on their way to the audit.
    """
    with session(url, as_json=as_json) as client:
        with stderr().status("Verifying the audit") as status:
            verdict = verify_all(client, lambda done, total: status.update(f"Verifying the audit ({done} of {total})"))
            reader = ReconciliationReader(client, lambda text: status.update(safe(text)))
            reconciliation = reader.prepare(services or [])
            segments = verified_segments(segment or [], keys, verdict)
            add_segments(reconciliation, segments)
            unseen = unseen_events(covered_by(segments, verdict), verdict.retired_until)
            reconciliation.has_sealed_segments = unseen is not None
            reader.reconcile(reconciliation, wait)
        document = _document(reconciliation, verdict, reader.not_compared, unseen)
        print_json(document) if as_json else _show(stdout(), document)
        raise typer.Exit(_exit_code(document))


def _document(
    reconciliation: Reconciliation, verdict: LiveVerdict, not_compared: dict[str, str], unseen: dict[str, int] | None
) -> Counted:
    gaps = [*reconciliation.gaps(), *_chain_gaps(verdict)]
    per_service = [
        {
            "service": service,
            "journal_rows": rows,
            "gaps": sum(gap.service == service for gap in gaps),
            "began_elsewhere": reconciliation.journal_matcher.continuities[service].initial_revisions,
        }
        for service, rows in reconciliation.journal_matcher.counted.items()
    ]
    return {
        "accounted_for": not (gaps or not_compared or reconciliation.on_their_way or unseen),
        "services": per_service,
        "not_compared": [{"service": service, "reason": reason} for service, reason in not_compared.items()],
        "runs": len(reconciliation.run_matcher.known),
        "audit_events": reconciliation.events,
        "last_seq": reconciliation.last_seq,
        "conflicts_refused": reconciliation.conflicts,
        "on_their_way": reconciliation.on_their_way,
        "in_sealed_segments": reconciliation.sealed,
        "not_seen": unseen,
        "not_checkable": [
            {"event_type": event_type, "events": events}
            for event_type, events in sorted(reconciliation.uncheckable.items())
        ],
        "known_by_journal_alone": [
            {"service": service, "rows": rows} for service, rows in reconciliation.known_by_journal_alone.items()
        ],
        "unsigned_records": sorted(reconciliation.run_matcher.signatures.unsigned),
        "without_actor_basis": reconciliation.run_matcher.without_actor_basis,
        "accepted_as_declared": [
            {"name": because.name, "why": because.why, "events": events}
            for because, events in reconciliation.accepted.items()
        ],
        "acknowledged": [_acknowledged(gap, by) for gap, by in reconciliation.acknowledged()],
        "verified": verdict.model_dump(mode="json"),
        "gaps": [gap.model_dump(mode="json", exclude_none=True) for gap in gaps],
    }


def _acknowledged(gap: Discrepancy, by: Acknowledgement) -> Counted:
    who = {"acknowledged_by": by.actor, "actor_basis": by.basis, "reason": by.reason}
    return {**gap.model_dump(mode="json", exclude_none=True), **who, "at": by.at.isoformat(), "told_by_seq": by.seq}


def _chain_gaps(verdict: LiveVerdict) -> list[Discrepancy]:
    if verdict.ok:
        return []
    sentence = f"The audit's own chain does not hold. {verdict.sentence}"
    return [Discrepancy(kind=Kind.NOT_VERIFIED, sentence=sentence, seq=verdict.first_bad_seq)]


def _exit_code(document: Counted) -> ExitCode:
    if document["gaps"]:
        return ExitCode.DOES_NOT_HOLD
    return ExitCode.DONE if document["accounted_for"] else ExitCode.CANNOT_REACH


def _show(console: Console, document: Counted) -> None:
    rows: list[Row] = [
        (
            safe(one["service"]),
            str(one["journal_rows"]),
            safe(one["gaps"] or "", "red"),
            safe(_note(one["began_elsewhere"])),
        )
        for one in document["services"]
    ]
    rows += [
        (safe(one["service"]), "", "", safe(f"not compared: {one['reason']}", "yellow"))
        for one in document["not_compared"]
    ]
    show_table(console, COLUMNS, rows)
    gaps = document["gaps"]
    for gap in gaps[:MAX_SHOWN]:
        console.print(safe(gap["sentence"], "red"), soft_wrap=True)
    if len(gaps) > MAX_SHOWN:
        console.print(f"{len(gaps) - MAX_SHOWN} more; --json names every one.")
    if any(gap["kind"] in KINDS for gap in gaps):
        console.print(HOW_TO_ACKNOWLEDGE, soft_wrap=True)
    for one in document["acknowledged"][:MAX_SHOWN]:
        console.print(safe(_answered(one), "yellow"), soft_wrap=True)
    console.print(safe(_summary(document), "bold"), soft_wrap=True)


def _answered(one: Counted) -> str:
    who = f"{one['acknowledged_by']} ({one['actor_basis']})"
    return f"Acknowledged by {who} in audit event {one['told_by_seq']}: {one['reason']!r}. {one['sentence']}"


def _note(revisions: list[str]) -> str:
    if not revisions:
        return ""
    return f"was at {', '.join(revisions)} before its journal began; earlier migrations are not in the audit"


def _summary(document: Counted) -> str:
    rows = sum(one["journal_rows"] for one in document["services"])
    parts = {
        "Compared": f"{rows} journal rows, {document['runs']} run records, {document['audit_events']} audit events",
        "refused by the audit: same id, other content": _counted(document["conflicts_refused"], "event"),
        "accepted as the catalog declares": _declared(document["accepted_as_declared"]),
        "in sealed segments outside the database": _counted(document["in_sealed_segments"], "event"),
        "not seen": _not_seen(document["not_seen"]),
        "without the coordinator's signature: of an earlier release, or written past it": _counted(
            len(document["unsigned_records"]), "run record"
        ),
        "of the first release, not saying how their actor is known": _counted(document["without_actor_basis"], "event"),
        "told by their own service alone (by hand, at start-up, or forged with its login)": _alone(
            document["known_by_journal_alone"]
        ),
        "acknowledged by an operator": _counted(len(document["acknowledged"]), "gap"),
        "believed because no other record tells of them": _not_checkable(document["not_checkable"]),
        "still on the way to the audit": _counted(document["on_their_way"], "event"),
        "not compared": _counted(len(document["not_compared"]), "service"),
        "found": _counted(len(document["gaps"]), "gap"),
    }
    everything = "everything else" if document["not_checkable"] or document["acknowledged"] else "everything"
    end = [f"{everything} is accounted for, and the audit's own chain holds"] if document["accounted_for"] else []
    return "; ".join([f"{what}: {how_many}" for what, how_many in parts.items() if how_many] + end) + "."


def _not_seen(unseen: Counted | None) -> str:
    if unseen is None:
        return ""
    return f"events {unseen['first_seq']} to {unseen['last_seq']}, in sealed segments whose files were not given"


def _not_checkable(types: list[Counted]) -> str:
    return ", ".join(_counted(one["events"], f"{one['event_type']} event") for one in types)


def _alone(services: list[Counted]) -> str:
    return ", ".join(f"{_counted(one['rows'], 'journal row')} of {one['service']}" for one in services)


def _declared(accepted: list[Counted]) -> str:
    return ", ".join(f"{_counted(one['events'], 'event')} of {one['name']} ({one['why']})" for one in accepted)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}" if number else ""
