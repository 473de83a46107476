"""Requests by pub/sub event. The HTTP status is always 200; the body decides whether Dapr delivers the event again."""

from __future__ import annotations

import asyncio
import hashlib
import logging

from dapr.ext.fastapi import DaprApp
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from coordinator.api.requesters import EventRequesters
from coordinator.domain.request_parsing.cloud_event import ReceivedEvent
from coordinator.domain.run import Run
from coordinator.errors import BodyTooLarge, CoordinatorError, IdempotencyConflict, InternalError
from coordinator.runs.intake import EntryPoint, RequestIntake
from migration_sidecar.http_server.request_body import read_body

log = logging.getLogger(__name__)

TOPIC, DEAD_LETTER_TOPIC = "migrate.requested", "migrate.requested.dead"
SUCCESS, RETRY, DROP = "SUCCESS", "RETRY", "DROP"
# daprd passes on no more than this.
LARGEST_EVENT = 4 * 1024 * 1024
# Between the attempts to accept an event, where the failure is an error of ours.
PAUSES_SECONDS = (0.2, 1.0)


def subscribe(app: FastAPI, intake: RequestIntake, requesters: EventRequesters, pubsub: str) -> None:
    """Adds the routes of both topics, and `GET /dapr/subscribe`, which daprd reads once when the port is open."""

    async def migrate_requested(request: Request) -> JSONResponse:
        return _answer(await handle_event(await _body(request), intake, requesters))

    async def migrate_requested_dead(request: Request) -> JSONResponse:
        """A dead letter is a refused event, which is recorded already, or one whose acceptance failed too often."""
        status = await handle_event(await _body(request), intake, requesters)
        return _answer(RETRY if status == RETRY else SUCCESS)

    topics = DaprApp(app)
    requested = topics.subscribe(pubsub, TOPIC, route="/events/migrate-requested", dead_letter_topic=DEAD_LETTER_TOPIC)
    requested(migrate_requested)
    # It has no dead-letter topic: a dead letter that fails again must not be delivered for ever.
    topics.subscribe(pubsub, DEAD_LETTER_TOPIC, route="/events/migrate-requested-dead")(migrate_requested_dead)


async def handle_event(body: bytes, intake: RequestIntake, requesters: EventRequesters) -> str:
    """SUCCESS if the run is stored, DROP if the refusal is recorded, RETRY if neither could be written."""
    event = ReceivedEvent.parse(body)
    try:
        run = await _accept(event, intake, requesters)
    except CoordinatorError as error:
        return RETRY if error.retryable else await _record_refusal(event, error, intake, requesters)
    log.info("event_accepted", extra={"request_id": run.request_id, "state": run.state.value})
    return SUCCESS


async def _accept(event: ReceivedEvent, intake: RequestIntake, requesters: EventRequesters) -> Run:
    """Accepts the event; repeats after an unexpected error, and raises InternalError if it comes each time.

    All attempts are made within one delivery: so no count must be shared between restarts and replicas, and the event
    occupies one of the broker's few workers for two seconds instead of two minutes.
    """
    for pause_seconds in (*PAUSES_SECONDS, None):
        try:
            asked = event.request()
            return await intake.accept(asked, requesters.identify(event.attributes), entry_point=EntryPoint.EVENT)
        except CoordinatorError:
            raise
        except Exception:
            log.exception("event_failed", extra={"request_id": event.identity.request_id})
            if pause_seconds is not None:
                await asyncio.sleep(pause_seconds)
    raise InternalError


async def _record_refusal(
    event: ReceivedEvent, error: CoordinatorError, intake: RequestIntake, requesters: EventRequesters
) -> str:
    if isinstance(error, IdempotencyConflict):
        return DROP  # recorded already, as a conflict
    try:
        key, request_id = event.identity
        requester = requesters.identified(event.attributes)
        await intake.refuse(key, error, request_id, requester, body_sha256=hashlib.sha256(event.body).hexdigest())
    except CoordinatorError as unrecorded:
        log.warning("refusal_not_recorded", extra={"code": error.code, "why": unrecorded.detail})
        return RETRY
    except Exception:
        # It must not be lost without a record: it is delivered again, and then as a dead letter.
        log.exception("refusal_not_recorded", extra={"code": error.code})
        return RETRY
    log.info("event_refused", extra={"code": error.code, "request_id": request_id})
    return DROP


async def _body(request: Request) -> bytes:
    """The body; empty if it is too large. It is read to its end, because daprd takes an earlier answer for an error."""
    try:
        return await read_body(request, LARGEST_EVENT, BodyTooLarge)
    except BodyTooLarge:
        return b""


def _answer(status: str) -> JSONResponse:
    return JSONResponse({"status": status})
