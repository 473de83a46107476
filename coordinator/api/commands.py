"""The HTTP API of the verbs: pause, resume, cancel, retry, approve and reject a run."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AfterValidator

from coordinator.api.http import require_plain_json
from coordinator.api.migrations import RequestId
from coordinator.api.requesters import CallRequesters
from coordinator.api.schemas import CommandDocument, RunRecord
from coordinator.domain.commands.command import Verb, read_command
from coordinator.domain.request import request_id_for_call
from coordinator.domain.request_parsing.request_json import MAXIMUM_BYTES, read_object
from coordinator.domain.run import Run
from coordinator.errors import BadField, BodyTooLarge, CoordinatorError, NoSuchRoute
from coordinator.runs.intake import RequestIntake
from coordinator.runs.steering import Steering
from migration_sidecar.http_server.openapi import answer, json_body, problems
from migration_sidecar.http_server.request_body import read_body
from signed_calls.signature import SIGNATURE_HEADER

COMMANDED = json_body(CommandDocument, {"reason": "the release is called off", "requested_by": "you"})
VERBS = [verb.value for verb in Verb]


def _verb(text: str) -> str:
    if text not in VERBS:
        raise NoSuchRoute("POST")
    return text


VerbName = Annotated[str, AfterValidator(_verb), Path(json_schema_extra={"enum": VERBS})]


def routes(steering: Steering, intake: RequestIntake, requesters: CallRequesters) -> APIRouter:
    """The route of all verbs; called by app.py."""
    router = APIRouter()

    @router.post(
        "/migrations/{request_id}/{verb}",
        responses={200: answer(RunRecord), **problems(400, 401, 403, 404, 409, 413, 422, 503)},
        openapi_extra=COMMANDED,
    )
    async def command(request: Request, request_id: RequestId, verb: VerbName) -> Response:
        run = await _take(request, request_id, verb, steering, intake, requesters)
        return JSONResponse(run.public())

    return router


async def _take(
    request: Request,
    request_id: str,
    verb: str,
    steering: Steering,
    intake: RequestIntake,
    requesters: CallRequesters,
) -> Run:
    """The run after the command. A refusal is recorded in the audit and raised."""
    requester = None
    try:
        requester = await requesters.identify(request)
        if request.query_params:
            raise BadField("There are no parameters here.")
        require_plain_json(request)
        body = read_command(read_object(await read_body(request, MAXIMUM_BYTES, BodyTooLarge)), verb)
        is_named = requester.name is not None
        command_id = request_id_for_call(request.headers.get(SIGNATURE_HEADER) if is_named else None)
        return await steering.command(request_id, body, requester, command_id)
    except CoordinatorError as error:
        key = ("verb", request_id, verb, error.code)
        await intake.refuse_verb(key, error.about(request_id), requester, verb=verb)
        raise
