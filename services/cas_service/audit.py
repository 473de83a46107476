"""The audit's doors: POST /audit/events records; GET shows events, one event whole, and the story of a run."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, ValidationError

from migration_sidecar.api.routes import read_body, sentence
from migration_sidecar.contract.audit import RunStory, WholeAuditEvent
from migration_sidecar.contract.audit_detail import objection
from migration_sidecar.contract.errors import BadRequest
from migration_sidecar.contract.journal import LAST_SEQ
from migration_sidecar.contract.messages import AuditBatch, AuditEvent, AuditPage, AuditReceipt
from migration_sidecar.contract.strict_json import require_each_key_once
from services.cas_service import reading, store
from services.cas_service.questions import AuditQuery

BODY_BYTES = 1024 * 1024

router = APIRouter(prefix="/audit")


class NoQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")


@router.post("/events")
async def record(request: Request) -> AuditReceipt:
    """Repeating a batch is harmless: what is stored already is counted as repeated."""
    body = await read_body(request, BODY_BYTES)
    try:
        batch = AuditBatch.model_validate_json(body)
    except ValidationError as error:
        raise BadRequest(sentence(error)) from None
    require_each_key_once(body)
    for event in batch.events:
        require_time_zone(event)
        if (wrong := objection(event)) is not None:
            raise BadRequest(wrong)
    return await store.append(request.app.state.database, batch)


@router.get("/events")
async def show(request: Request, query: Annotated[AuditQuery, Query()]) -> AuditPage:
    require_single_values(request)
    return await reading.page(request.app.state.database, query)


@router.get("/events/{event}")
async def show_event(
    request: Request, event: Annotated[str, Path(max_length=36)], _: Annotated[NoQuery, Query()]
) -> WholeAuditEvent:
    return await reading.event(request.app.state.database, read_event_name(event))


@router.get("/runs/{request_id}")
async def show_run(
    request: Request, request_id: Annotated[str, Path(max_length=128)], _: Annotated[NoQuery, Query()]
) -> RunStory:
    return await reading.story(request.app.state.database, request_id)


def read_event_name(text: str) -> UUID | int:
    """An event is named by its number or by its id."""
    if text.isascii() and text.isdigit() and 0 < int(text) <= LAST_SEQ:
        return int(text)
    try:
        return UUID(text)
    except ValueError:
        raise BadRequest("event: name it by its seq, such as 57, or by its event_id, which is a UUID.") from None


def require_time_zone(event: AuditEvent) -> None:
    """A time that cannot be told in UTC would be stored by guessing, and could not be read back."""
    try:
        if event.occurred_at.tzinfo is not None and event.occurred_at.astimezone(UTC):
            return
    except OverflowError:
        pass
    raise BadRequest(f"events: occurred_at of {event.event_id} must have a time zone and a four-digit year in UTC.")


def require_single_values(request: Request) -> None:
    names = [name for name, _ in request.query_params.multi_items()]
    if len(names) != len(set(names)):
        raise BadRequest("A query parameter was given twice.")
