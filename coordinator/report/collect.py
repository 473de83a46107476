"""Asks the coordinator for everything a report says, and has each event's proof checked on the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from audit_verifier.verify import Broken, Keys, Unreadable
from coordinator.client.audit_verification import Tell
from coordinator.client.client import CoordinatorClient
from coordinator.client.errors import CannotReach, Refused
from coordinator.client.views import read_list
from coordinator.report.inputs import Proof, ReportedEvent
from coordinator.report.proof_check import checked_proof

PAGE = 1000
NOT_FOUND = 404


def run_record(client: CoordinatorClient, request_id: str) -> dict[str, Any] | None:
    """The record as it came; None where there is none: the request was refused, or its record is gone."""
    try:
        return client.run_now(request_id)
    except Refused as error:
        if error.http_status != NOT_FOUND:
            raise
        return None


def events_of(client: CoordinatorClient, request_id: str) -> list[ReportedEvent]:
    """All of them, in the order in which the audit took them in."""
    return list(_pages(client, request_id))


def proofs_of(
    client: CoordinatorClient, events: list[ReportedEvent], trusted: Keys | None, tell: Tell
) -> dict[str, Proof]:
    """Without trusted keys, those that came with the first proof have to hold for all the others."""
    proofs: dict[str, Proof] = {}
    for done, event in enumerate(events, start=1):
        try:
            document = client.audit_proof(event.event_id)
        except (Refused, CannotReach) as error:
            proofs[event.event_id] = Proof(trouble=_why(error))
        else:
            trusted = trusted or _keys(document)
            proofs[event.event_id] = checked_proof(event, document, trusted)
        tell(done, len(events))
    return proofs


def _pages(client: CoordinatorClient, request_id: str) -> Iterator[ReportedEvent]:
    asked: dict[str, Any] = {"request_id": request_id, "limit": PAGE}
    while True:
        page = client.audit(asked)
        yield from read_list(ReportedEvent, page, "events")
        if not page.get("next_cursor"):
            return
        asked["cursor"] = page["next_cursor"]


def _keys(document: dict[str, Any]) -> Keys | None:
    try:
        return Keys(document.get("keys"))
    except (Unreadable, Broken):
        return None


def _why(error: Refused | CannotReach) -> str:
    return str(error.problem.get("detail") or error.problem.get("title") or "no proof was given").rstrip(".")
