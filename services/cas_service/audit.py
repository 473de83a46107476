"""The audit's doors: POST /audit/events records, GET /audit/events shows."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from migration_sidecar.api import read_body, sentence
from migration_sidecar.errors import BadRequest
from migration_sidecar.messages import AuditBatch, AuditEvent, AuditPage, AuditReceipt
from services.cas_service import store

BODY_BYTES = 1024 * 1024
LAST_SEQ = 2**63 - 1

router = APIRouter(prefix="/audit")


class AuditQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    request_id: str | None = Field(default=None, min_length=1, max_length=128)
    service: str | None = Field(default=None, min_length=1, max_length=128)
    type: str | None = Field(default=None, min_length=1, max_length=64)
    limit: int = Field(default=100, ge=1, le=1000)
    cursor: str | None = Field(default=None, max_length=64)


@router.post("/events")
async def record(request: Request) -> AuditReceipt:
    """Repeating a batch is harmless: what is stored already is counted as repeated."""
    body = await read_body(request, BODY_BYTES)
    try:
        batch = AuditBatch.model_validate_json(body)
    except ValidationError as error:
        raise BadRequest(sentence(error)) from None
    for event in batch.events:
        require_time_zone(event)
    return await store.append(request.app.state.database, batch)


@router.get("/events")
async def show(request: Request, query: Annotated[AuditQuery, Query()]) -> AuditPage:
    require_single_values(request)
    after_seq = read_cursor(query.cursor) if query.cursor is not None else 0
    question = store.Question(
        request_id=query.request_id,
        service=query.service,
        event_type=query.type,
        after_seq=after_seq,
        limit=query.limit + 1,  # one more than asked for tells whether there is a next page
    )
    events = await store.read(request.app.state.database, question)
    page = events[: query.limit]
    return AuditPage(events=page, next_cursor=write_cursor(page[-1].seq) if len(events) > len(page) else None)


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


def write_cursor(seq: int) -> str:
    return urlsafe_b64encode(f"after:{seq}".encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> int:
    """Raises BadRequest for anything write_cursor did not make."""
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        seq = int(text.removeprefix("after:"))
    except ValueError:
        seq = -1
    if not 0 <= seq <= LAST_SEQ or write_cursor(seq) != cursor:
        raise BadRequest("cursor: use next_cursor of the page before, unchanged.")
    return seq
