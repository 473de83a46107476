"""Requests by event. Dapr repeats what is not answered with SUCCESS or DROP: content never decides the HTTP status."""

from __future__ import annotations

import asyncio
import hashlib
import logging

from dapr.ext.fastapi import DaprApp
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

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
# Between the tries to take in an event on which we fail ourselves.
PAUSES_SECONDS = (0.2, 1.0)


def subscribe(app: FastAPI, reception: RequestIntake, pubsub: str) -> None:
    """Adds the routes of both topics, and `GET /dapr/subscribe`: daprd reads it once, as soon as the port is open."""

    async def migrate_requested(request: Request) -> JSONResponse:
        return _answer(await handle_event(await _body(request), reception))

    async def migrate_requested_dead(request: Request) -> JSONResponse:
        """A dead letter is a refused event, recorded before, or a good one whose acceptance failed too often."""
        status = await handle_event(await _body(request), reception)
        return _answer(RETRY if status == RETRY else SUCCESS)

    topics = DaprApp(app)
    requested = topics.subscribe(pubsub, TOPIC, route="/events/migrate-requested", dead_letter_topic=DEAD_LETTER_TOPIC)
    requested(migrate_requested)
    # Without a dead-letter topic of its own: a dead letter that fails again must not circle.
    topics.subscribe(pubsub, DEAD_LETTER_TOPIC, route="/events/migrate-requested-dead")(migrate_requested_dead)


async def handle_event(body: bytes, reception: RequestIntake) -> str:
    """SUCCESS once the run is stored, DROP once the refusal is on record, RETRY while neither could be written."""
    event = ReceivedEvent.parse(body)
    try:
        run = await _accepted(event, reception)
    except CoordinatorError as error:
        return RETRY if error.retryable else await _refused(event, error, reception)
    log.info("event_accepted", extra={"request_id": run.request_id, "state": run.state.value})
    return SUCCESS


async def _accepted(event: ReceivedEvent, reception: RequestIntake) -> Run:
    """Tries again at once where the mistake is ours; raises InternalError when it comes each time.

    All tries are made within one delivery: no count of them has to be kept over restarts and replicas, and the
    event holds one of the broker's few workers for a second or two instead of two minutes.
    """
    for pause_seconds in (*PAUSES_SECONDS, None):
        try:
            return await reception.accept(event.request(), door=EntryPoint.EVENT)
        except CoordinatorError:
            raise
        except Exception:
            log.exception("event_failed", extra={"request_id": event.identity.request_id})
            if pause_seconds is not None:
                await asyncio.sleep(pause_seconds)
    raise InternalError


async def _refused(event: ReceivedEvent, error: CoordinatorError, reception: RequestIntake) -> str:
    if isinstance(error, IdempotencyConflict):
        return DROP  # on record already, as the conflict that it is
    try:
        key, request_id = event.identity
        await reception.refuse(key, error, request_id, body_sha256=hashlib.sha256(event.body).hexdigest())
    except CoordinatorError as unrecorded:
        log.warning("refusal_not_recorded", extra={"code": error.code, "why": unrecorded.detail})
        return RETRY
    except Exception:
        # Without a record it may not go: it comes again, and as a dead letter after that.
        log.exception("refusal_not_recorded", extra={"code": error.code})
        return RETRY
    log.info("event_refused", extra={"code": error.code, "request_id": request_id})
    return DROP


async def _body(request: Request) -> bytes:
    """Reads to the end also what is too large: an answer before that would look like a broken connection."""
    try:
        return await read_body(request, LARGEST_EVENT, BodyTooLarge)
    except BodyTooLarge:
        return b""


def _answer(status: str) -> JSONResponse:
    return JSONResponse({"status": status})
