"""Door 2: pub/sub. Dapr repeats whatever is not answered with SUCCESS or DROP, so content never decides the status."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from coordinator.domain.envelope import read_envelope, read_event
from coordinator.domain.request import REQUEST_ID
from coordinator.doors import read_body
from coordinator.errors import BodyTooLarge, CoordinatorError, OtherBody
from coordinator.reception import Reception

log = logging.getLogger(__name__)

SUCCESS, RETRY, DROP = "SUCCESS", "RETRY", "DROP"
# daprd passes on no more than this.
LARGEST_EVENT = 4 * 1024 * 1024


def routes(reception: Reception) -> APIRouter:
    router = APIRouter()

    @router.post("/events/migrate-requested")
    async def migrate_requested(request: Request) -> JSONResponse:
        return _answer(await handle(await _body(request), reception))

    @router.post("/events/migrate-requested-dead")
    async def migrate_requested_dead(request: Request) -> JSONResponse:
        """A dead letter is a refused event, recorded before, or a good one whose acceptance failed too often."""
        status = await handle(await _body(request), reception)
        return _answer(RETRY if status == RETRY else SUCCESS)

    return router


async def handle(body: bytes, reception: Reception) -> str:
    """SUCCESS once the run is stored, DROP once the refusal is on record, RETRY while neither could be written."""
    try:
        run = await reception.take(read_event(body))
    except CoordinatorError as error:
        return RETRY if error.retryable else await _refused(body, error, reception)
    except Exception:
        log.exception("event_failed")
        return RETRY
    log.info("event_accepted", extra={"request_id": run.request_id, "state": run.state.value})
    return SUCCESS


async def _refused(body: bytes, error: CoordinatorError, reception: Reception) -> str:
    if isinstance(error, OtherBody):
        return DROP  # on record already, as the conflict that it is
    key, request_id = _identity(body)
    try:
        await reception.refuse(key, error, request_id, door="event", body_sha256=hashlib.sha256(body).hexdigest())
    except CoordinatorError as unrecorded:
        log.warning("refusal_not_recorded", extra={"code": error.code, "why": unrecorded.detail})
        return RETRY
    log.info("event_refused", extra={"code": error.code, "request_id": request_id})
    return DROP


def _identity(body: bytes) -> tuple[tuple[str, ...], str | None]:
    """What a repeated delivery has in common with the first one, and the request id where one can be told."""
    try:
        envelope = read_envelope(body)
    except CoordinatorError:
        return ("body", hashlib.sha256(body).hexdigest()), None
    request_id: Any = envelope.data.get("request_id", envelope.event_id)
    fits = isinstance(request_id, str) and REQUEST_ID.fullmatch(request_id)
    return ("event", envelope.source, envelope.event_id), request_id if fits else None


async def _body(request: Request) -> bytes:
    """Reads to the end also what is too large: an answer before that would look like a broken connection."""
    try:
        return await read_body(request, LARGEST_EVENT)
    except BodyTooLarge:
        return b""


def _answer(status: str) -> JSONResponse:
    return JSONResponse({"status": status})
