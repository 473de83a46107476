"""Commands by pub/sub event, on a topic of their own. Who may give one is known by the event's signature alone."""

from __future__ import annotations

import hashlib
import logging
from typing import NamedTuple

from dapr.ext.fastapi import DaprApp
from fastapi import Request
from fastapi.responses import JSONResponse

from coordinator.api.events.subscriptions import DROP, RETRY, SUCCESS, read_event
from coordinator.api.requesters import EventRequesters
from coordinator.domain.commands.command import read_command
from coordinator.domain.request_parsing.cloud_event import ReceivedEvent
from coordinator.errors import BadField, BadRequestId, CoordinatorError
from coordinator.runs.intake import RequestIntake
from coordinator.runs.steering import Steering
from migration_sidecar.contract.request_id import REQUEST_ID

log = logging.getLogger(__name__)

TOPIC = "migrate.command"


class CommandDoor(NamedTuple):
    """What a command is taken with; `intake` records refusals."""

    steering: Steering
    intake: RequestIntake
    requesters: EventRequesters


def subscribe(topics: DaprApp, door: CommandDoor, pubsub: str) -> None:
    """Adds the route of the topic. A command that is refused is recorded, and is not delivered again."""

    async def migrate_command(request: Request) -> JSONResponse:
        return JSONResponse({"status": await handle_command(await read_event(request), door)})

    topics.subscribe(pubsub, TOPIC, route="/events/migrate-command")(migrate_command)


async def handle_command(body: bytes, door: CommandDoor) -> str:
    """SUCCESS if it was carried out, DROP if its refusal is recorded, RETRY if neither could be written."""
    event = ReceivedEvent.parse(body)
    try:
        await _command(event, door)
    except CoordinatorError as error:
        return RETRY if error.retryable else await _refused(event, error, door)
    except Exception:
        log.exception("command_failed")
        return RETRY
    return SUCCESS


async def _command(event: ReceivedEvent, door: CommandDoor) -> None:
    data, command_id = event.data()
    request_id, verb = data.get("request_id"), data.get("verb")
    if not isinstance(request_id, str) or not REQUEST_ID.fullmatch(request_id):
        raise BadRequestId("of a command names the run, in 1 to 64 characters out of A-Z, a-z, 0-9, underscore, hyphen")
    if not isinstance(verb, str):
        raise BadField('"verb" is missing: a command says what to do with the run.')
    requester = door.requesters.identify(event.attributes)
    rest = {name: value for name, value in data.items() if name not in ("request_id", "verb")}
    await door.steering.command(request_id, read_command(rest, verb), requester, command_id)


async def _refused(event: ReceivedEvent, error: CoordinatorError, door: CommandDoor) -> str:
    try:
        key, request_id = event.identity
        requester = door.requesters.identified(event.attributes)
        sent = hashlib.sha256(event.body).hexdigest()
        await door.intake.refuse(("command", *key), error, request_id, requester, body_sha256=sent)
    except CoordinatorError as unrecorded:
        log.warning("refusal_not_recorded", extra={"code": error.code, "why": unrecorded.detail})
        return RETRY
    return DROP
