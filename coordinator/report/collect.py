"""Reads from the coordinator everything that a report needs, and checks the proof of each event."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from audit_verifier.verify import Broken, Keys, Unreadable
from coordinator.client.audit_verification import ProgressCallback
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
    """All audit events of the run, in the order in which the audit recorded them."""
    return list(_pages(client, request_id))


def proofs_of(
    client: CoordinatorClient, events: list[ReportedEvent], trusted: Keys | None, on_progress: ProgressCallback
) -> dict[str, Proof]:
    """Fetches and checks the proof of each event; the result is by event id. Calls `on_progress` after each event.

    Without trusted keys, the keys that came with the first proof are used for all proofs. Raises no CannotReach:
    a proof that cannot be fetched has a `trouble`.
    """
    proofs: dict[str, Proof] = {}
    for done, event in enumerate(events, start=1):
        try:
            document = client.audit_proof(event.event_id)
        except (Refused, CannotReach) as error:
            proofs[event.event_id] = Proof(trouble=_reason(error))
        else:
            trusted = trusted or _keys_in(document)
            proofs[event.event_id] = checked_proof(event, document, trusted)
        on_progress(done, len(events))
    return proofs


def _pages(client: CoordinatorClient, request_id: str) -> Iterator[ReportedEvent]:
    parameters: dict[str, Any] = {"request_id": request_id, "limit": PAGE}
    while True:
        page = client.audit(parameters)
        yield from read_list(ReportedEvent, page, "events")
        if not page.get("next_cursor"):
            return
        parameters["cursor"] = page["next_cursor"]


def _keys_in(document: dict[str, Any]) -> Keys | None:
    try:
        return Keys(document.get("keys"))
    except (Unreadable, Broken):
        return None


def _reason(error: Refused | CannotReach) -> str:
    return str(error.problem.get("detail") or error.problem.get("title") or "no proof was given").rstrip(".")
