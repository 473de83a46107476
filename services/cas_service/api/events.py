"""HTTP routes that record and read events: /audit/events and /audit/runs."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from pydantic import ValidationError

from migration_sidecar.contract.audit import AuditBatch, AuditReceipt, RunEvents, StoredAuditEvent
from migration_sidecar.contract.audit_detail import validation_error
from migration_sidecar.contract.audit_queries import EVENT_NAME, AuditQuery
from migration_sidecar.contract.errors import BadRequest, BodyTooLarge, CallerNotPermitted
from migration_sidecar.contract.messages import AuditEvent, AuditPage
from migration_sidecar.contract.query_parameters import LAST_SEQ, NoParameters
from migration_sidecar.contract.strict_json import quote_for_message, require_each_key_once
from migration_sidecar.http_server.openapi import json_body, problems
from migration_sidecar.http_server.proven_caller import NOT_PROVEN, PROVEN_CALLER, CallPolicy
from migration_sidecar.http_server.request_body import read_body
from migration_sidecar.http_server.validation import EACH_PARAMETER_ONCE, first_mistake
from services.cas_service.events import reader, store
from signed_calls.verification import Caller

BODY_BYTES = 1024 * 1024
EXAMPLE = {
    "events": [
        {
            "event_id": "c3a6f1d4-7d0b-5f3e-8a44-6b1f0c9a2e57",
            "event_type": "migration.requested",
            "occurred_at": "2026-11-22T15:00:00Z",
            "source": "migration-coordinator",
            "request_id": "release-41",
            "detail": {"reason": "release 41"},
        }
    ]
}

router = APIRouter(
    prefix="/audit",
    dependencies=[PROVEN_CALLER, EACH_PARAMETER_ONCE],
    responses={**NOT_PROVEN, **problems(400, 422, 503)},
)
EventName = Annotated[str, Path(max_length=36, json_schema_extra={"pattern": EVENT_NAME})]


@router.post("/events", openapi_extra=json_body(AuditBatch, EXAMPLE))
async def record(request: Request, caller: Annotated[Caller | None, PROVEN_CALLER]) -> AuditReceipt:
    """Repeating a batch is harmless: events that are stored already are counted as repeated."""
    body = await read_body(request, BODY_BYTES, BodyTooLarge)
    try:
        batch = AuditBatch.model_validate_json(body)
    except ValidationError as error:
        raise BadRequest(first_mistake(error)) from None
    require_each_key_once(body)
    if caller is not None:
        require_own_events(caller, batch, request.app.state.call_policy)
    for event in batch.events:
        require_time_zone(event)
        if (error_text := validation_error(event)) is not None:
            raise BadRequest(error_text)
    return await store.append(request.app.state.database, batch)


@router.get("/events")
async def show(request: Request, query: Annotated[AuditQuery, Query()]) -> AuditPage:
    """One page of events."""
    return await reader.page(request.app.state.database, query)


@router.get("/events/{event}", responses=problems(404))
async def show_event(request: Request, event: EventName, _: Annotated[NoParameters, Query()]) -> StoredAuditEvent:
    """One event with its hashes; `event` is its number or its id."""
    return await reader.event(request.app.state.database, read_event_name(event))


@router.get("/runs/{request_id}", responses=problems(404))
async def show_run(
    request: Request, request_id: Annotated[str, Path(max_length=128)], _: Annotated[NoParameters, Query()]
) -> RunEvents:
    """All events of one request."""
    return await reader.run_events(request.app.state.database, request_id)


def require_own_events(caller: Caller, batch: AuditBatch, policy: CallPolicy) -> None:
    """Raises CallerNotPermitted unless each event's source is the caller, or the journal of the caller.

    Who was renamed, or shares a journal with another service, has its key filed under the other name, too.
    """
    for source in dict.fromkeys(event.source for event in batch.events):
        if not policy.speaks_for(caller, source.removesuffix("/journal")):
            raise CallerNotPermitted(f"The caller {caller.name} may not record events of {quote_for_message(source)}.")


def read_event_name(text: str) -> UUID | int:
    """The number or the id of an event. Raises BadRequest for any other text."""
    if text.isascii() and text.isdigit() and 0 < int(text) <= LAST_SEQ:
        return int(text)
    try:
        return UUID(text)
    except ValueError:
        raise BadRequest("event: name it by its seq, such as 57, or by its event_id, which is a UUID.") from None


def require_time_zone(event: AuditEvent) -> None:
    """Raises BadRequest for a time that cannot be converted to UTC: we would have to guess what it means."""
    try:
        if event.occurred_at.tzinfo is not None and event.occurred_at.astimezone(UTC):
            return
    except OverflowError:
        pass
    raise BadRequest(f"events: occurred_at of {event.event_id} must have a time zone and a four-digit year in UTC.")
