"""Requests by pub/sub event. The HTTP status is always 200; the body decides whether Dapr delivers the event again."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from typing import NamedTuple

from dapr.ext.fastapi import DaprApp
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from coordinator.api.requesters import EventRequesters
from coordinator.audit.dead_letters import DeadLetters
from coordinator.domain.dead_letters.letter import letter_id, letter_of
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


class EventDoor(NamedTuple):
    """What an event is taken with. Without `letters` nothing of a refused one is kept but the refusal."""

    intake: RequestIntake
    requesters: EventRequesters
    letters: DeadLetters | None = None


def subscribe(app: FastAPI, door: EventDoor, pubsub: str) -> DaprApp:
    """Adds the routes of both topics, and `GET /dapr/subscribe`, which daprd reads once when the port is open.

    Returns what further topics are added to: a second DaprApp would not be read.
    """

    async def migrate_requested(request: Request) -> JSONResponse:
        return _answer(await handle_event(await read_event(request), *door))

    async def migrate_requested_dead(request: Request) -> JSONResponse:
        return _answer(await handle_dead_letter(await read_event(request), *door))

    topics = DaprApp(app)
    requested = topics.subscribe(pubsub, TOPIC, route="/events/migrate-requested", dead_letter_topic=DEAD_LETTER_TOPIC)
    requested(migrate_requested)
    # It has no dead-letter topic: a dead letter that fails again must not be delivered for ever.
    topics.subscribe(pubsub, DEAD_LETTER_TOPIC, route="/events/migrate-requested-dead")(migrate_requested_dead)
    return topics


async def handle_event(
    body: bytes, intake: RequestIntake, requesters: EventRequesters, letters: DeadLetters | None = None
) -> str:
    """SUCCESS if the run is stored, DROP if the refusal is recorded and the event kept, else RETRY."""
    door, event = EventDoor(intake, requesters, letters), ReceivedEvent.parse(body)
    try:
        await _accept(event, door)
    except CoordinatorError as error:
        is_done = not error.retryable and await _record_refusal(event, error, door)
        return DROP if is_done and await _keep(event, error, door) else RETRY
    return SUCCESS


async def handle_dead_letter(
    body: bytes, intake: RequestIntake, requesters: EventRequesters, letters: DeadLetters | None = None
) -> str:
    """A dead letter is a refused event, which is recorded already, or one whose acceptance failed too often.

    SUCCESS if nothing is left to be done, RETRY if that could not be written.
    """
    door, event = EventDoor(intake, requesters, letters), ReceivedEvent.parse(body)
    try:
        run = await _accept(event, door)
    except CoordinatorError as error:
        is_recorded = not error.retryable and await _record_refusal(event, error, door)
        # Also what is delivered again, because that has an end after which nobody would have it.
        is_kept = await _keep(event, error, door, as_dead_letter=True)
        return SUCCESS if is_recorded and is_kept else RETRY
    await _mark_taken(event, run, door)
    return SUCCESS


async def _accept(event: ReceivedEvent, door: EventDoor) -> Run:
    """Accepts the event; repeats after an unexpected error, and raises InternalError if it comes each time.

    All attempts are made within one delivery: so no count must be shared between restarts and replicas, and the event
    occupies one of the broker's few workers for two seconds instead of two minutes.
    """
    for pause_seconds in (*PAUSES_SECONDS, None):
        try:
            asked, requester = event.request(), door.requesters.identify(event.attributes)
            run = await door.intake.accept(asked, requester, entry_point=EntryPoint.EVENT)
            log.info("event_accepted", extra={"request_id": run.request_id, "state": run.state.value})
            return run
        except CoordinatorError:
            raise
        except Exception:
            log.exception("event_failed", extra={"request_id": event.identity.request_id})
            if pause_seconds is not None:
                await asyncio.sleep(pause_seconds)
    raise InternalError


async def _record_refusal(event: ReceivedEvent, error: CoordinatorError, door: EventDoor) -> bool:
    """Whether the refusal is on record."""
    if isinstance(error, IdempotencyConflict):
        return True  # recorded already, as a conflict
    try:
        key, request_id = event.identity
        requester = door.requesters.identified(event.attributes)
        await door.intake.refuse(key, error, request_id, requester, body_sha256=hashlib.sha256(event.body).hexdigest())
    except CoordinatorError as unrecorded:
        log.warning("refusal_not_recorded", extra={"code": error.code, "why": unrecorded.detail})
        return False
    except Exception:
        # It must not be lost without a record: it is delivered again, and then as a dead letter.
        log.exception("refusal_not_recorded", extra={"code": error.code})
        return False
    log.info("event_refused", extra={"code": error.code, "request_id": request_id})
    return True


async def _keep(
    event: ReceivedEvent, error: CoordinatorError, door: EventDoor, *, as_dead_letter: bool = False
) -> bool:
    """Whether the event need not come again in order to be kept."""
    if door.letters is None:
        return True
    try:
        letter = letter_of(event, error, door.intake.clock(), door.requesters.identified(event.attributes))
        await door.letters.keep(letter, as_dead_letter=as_dead_letter)
    except CoordinatorError as unkept:
        log.warning("dead_letter_not_kept", extra={"code": error.code, "why": unkept.detail})
        return not unkept.retryable
    except Exception:
        # A mistake of ours would come each time, and the refusal is on record.
        log.exception("dead_letter_not_kept", extra={"code": error.code})
    return True


async def _mark_taken(event: ReceivedEvent, run: Run, door: EventDoor) -> None:
    """The run is stored, so the event need not come again, whatever becomes of this note."""
    if door.letters is None:
        return
    try:
        await door.letters.mark_taken(letter_id(event), run.request_id, door.intake.clock())
    except Exception as unmarked:
        log.warning("dead_letter_not_marked", extra={"request_id": run.request_id, "why": type(unmarked).__name__})


async def read_event(request: Request) -> bytes:
    """The body; empty if it is too large. It is read to its end, because daprd takes an earlier answer for an error."""
    try:
        return await read_body(request, LARGEST_EVENT, BodyTooLarge)
    except BodyTooLarge:
        return b""


def _answer(status: str) -> JSONResponse:
    return JSONResponse({"status": status})
