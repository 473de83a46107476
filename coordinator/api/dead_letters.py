"""The routes of dead letters. What is in one is as confidential as the audit: whoever reads it has to be known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from coordinator.api.http import require_plain_json
from coordinator.api.migrations import ACCEPTED
from coordinator.api.requesters import CallRequesters, NotProven
from coordinator.api.schemas import DeadLetterDocument, DeadLetterPage, LettersQuery, ResubmissionBody
from coordinator.audit.dead_letters import DeadLetters
from coordinator.domain.request_parsing.request_json import MAXIMUM_BYTES, read_object
from coordinator.domain.run import Run
from coordinator.errors import BadField, BadRequestId, BodyTooLarge, CoordinatorError, quote_for_message
from coordinator.runs.resubmission import Resubmission
from migration_sidecar.contract.query_parameters import NoParameters
from migration_sidecar.contract.request_id import REQUEST_ID
from migration_sidecar.http_server.openapi import answer, json_body, problems
from migration_sidecar.http_server.request_body import read_body
from migration_sidecar.http_server.validation import EACH_PARAMETER_ONCE

VERB = "resubmit"


@dataclass(frozen=True)
class DeadLetterDependencies:
    """What the routes need; app.py puts it together."""

    letters: DeadLetters
    resubmission: Resubmission
    requesters: CallRequesters


def routes(dependencies: DeadLetterDependencies) -> APIRouter:
    """The routes /dead-letters; called by app.py."""
    letters = dependencies.letters
    reader = Depends(partial(dependencies.requesters.require_reader, confidential=True))
    router = APIRouter()

    @router.get(
        "/dead-letters",
        dependencies=[reader, EACH_PARAMETER_ONCE],
        responses={200: answer(DeadLetterPage), **problems(401, 403, 422, 503)},
    )
    async def list_dead_letters(query: Annotated[LettersQuery, Query()]) -> Response:
        page = await letters.page(query.limit, query.cursor)
        shown = [letter.model_dump(mode="json", exclude={"event"}) for letter in page.letters]
        told = {name: value for name, value in page._asdict().items() if name != "letters"}
        return JSONResponse({"dead_letters": shown, **told})

    @router.get(
        "/dead-letters/{name}",
        dependencies=[reader, EACH_PARAMETER_ONCE],
        responses={200: answer(DeadLetterDocument), **problems(401, 403, 404, 422, 503)},
    )
    async def show_dead_letter(name: str, _: Annotated[NoParameters, Query()]) -> Response:
        return JSONResponse((await letters.find(name)).model_dump(mode="json"))

    @router.post(
        "/dead-letters/{name}/resubmit",
        status_code=202,
        responses={202: ACCEPTED, **problems(400, 401, 403, 404, 409, 413, 422, 503)},
        openapi_extra=json_body(ResubmissionBody, {}),
    )
    async def resubmit(request: Request, name: str) -> Response:
        run = await _resubmit(dependencies, request, name)
        return JSONResponse(run.public(), status_code=202, headers={"location": f"/migrations/{run.request_id}"})

    return router


async def _resubmit(dependencies: DeadLetterDependencies, request: Request, name: str) -> Run:
    """Makes a run of the letter, or records the refusal in the audit and raises it."""
    requester = None
    try:
        requester = await dependencies.requesters.identify(request)
        if request.query_params:
            raise BadField("There are no parameters here.")
        require_plain_json(request)
        request_id = _request_id(read_object(await read_body(request, MAXIMUM_BYTES, BodyTooLarge)))
        return await dependencies.resubmission.resubmit(name, requester, request_id)
    except CoordinatorError as error:
        key = (VERB, name, error.code, error.kind.value if isinstance(error, NotProven) else "")
        await dependencies.resubmission.intake.refuse_verb(key, error, requester, verb=VERB)
        raise


def _request_id(body: dict[str, Any]) -> str | None:
    if unknown := next((field for field in body if field != "request_id"), None):
        raise BadField(f"There is no field {quote_for_message(unknown)} here.")
    value = body.get("request_id")
    if value is not None and not (isinstance(value, str) and REQUEST_ID.fullmatch(value)):
        raise BadRequestId(f"{quote_for_message(str(value))} is not of the form [A-Za-z0-9_-]{{1,64}}")
    return value
