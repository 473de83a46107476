"""Asks the coordinator for everything a report says, and has each event's proof checked on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from audit_verifier import verify
from coordinator.cli.failures import CannotReach, Refused
from coordinator.cli.records import View, read, read_list
from coordinator.report.facts import Chain, Evidence, Proof, ReportedEvent, ReportedRun, RunFacts
from coordinator.report.proving import checked_proof
from coordinator.report.rebuilt import rebuilt

Document = dict[str, Any]
Progress = Callable[[str, int, int], None]  # what is done, how far, of how many

PAGE = 1000
PIECE = 50_000
NOT_FOUND = 404


class AuditSource(Protocol):
    """The coordinator's routes, as far as a report needs them."""

    def run_now(self, request_id: str) -> Document: ...
    def audit(self, parameters: Document) -> Document: ...
    def audit_keys(self) -> Document: ...
    def audit_proof(self, event: str) -> Document: ...
    def audit_verify(self, parameters: Document) -> Document: ...


class PieceView(View):
    first_seq: int = 0
    last_seq: int = 0
    events: int = 0
    ok: bool = False
    first_bad_seq: int | None = None
    reason: str = ""
    sentence: str = ""
    next_after: int | None = None


def collect(
    source: AuditSource, request_id: str, trusted: verify.Keys | None, keys_from: str, tell: Progress
) -> RunFacts:
    """Raises Refused where neither a run record nor an event knows the request."""
    run, missing = _record(source, request_id)
    events = list(_events(source, request_id))
    if run is None and missing is not None and not events:
        raise missing
    keys = trusted or _keys(source)
    proofs = {}
    for done, event in enumerate(events, start=1):
        proofs[event.event_id] = _proof(source, event, keys)
        tell("Checking the proof of each event", done, len(events))
    evidence = Evidence(proofs, _chain(source, tell), keys_from if trusted else "")
    return RunFacts(run or rebuilt(request_id, events), events, evidence, recorded=run is not None)


def _record(source: AuditSource, request_id: str) -> tuple[ReportedRun | None, Refused | None]:
    try:
        return read(ReportedRun, source.run_now(request_id)), None
    except Refused as error:
        if error.http_status != NOT_FOUND:
            raise
        return None, error


def _events(source: AuditSource, request_id: str) -> Iterator[ReportedEvent]:
    asked: Document = {"request_id": request_id, "limit": PAGE}
    while True:
        page = source.audit(asked)
        yield from read_list(ReportedEvent, page, "events")
        if not page.get("next_cursor"):
            return
        asked["cursor"] = page["next_cursor"]


def _keys(source: AuditSource) -> verify.Keys | None:
    try:
        return verify.Keys(source.audit_keys())
    except (Refused, verify.Unreadable, verify.Broken):
        return None


def _proof(source: AuditSource, event: ReportedEvent, keys: verify.Keys | None) -> Proof:
    try:
        document = source.audit_proof(event.event_id)
    except (Refused, CannotReach) as error:
        return Proof(trouble=str(error.problem.get("title") or "no proof was given").rstrip("."))
    return checked_proof(event, document, keys)


def _chain(source: AuditSource, tell: Progress) -> Chain | None:
    first, events, after = 0, 0, 0
    while True:
        try:
            piece = read(PieceView, source.audit_verify({"after": after, "limit": PIECE}))
        except (Refused, CannotReach):
            return None
        first, events = first or piece.first_seq, events + piece.events
        reason = piece.sentence or piece.reason
        if not piece.ok or piece.next_after is None or piece.next_after <= after:
            return Chain(first, piece.last_seq, events, piece.ok, piece.first_bad_seq, reason)
        after = piece.next_after
        tell("Verifying the chain of the audit", after, 0)
