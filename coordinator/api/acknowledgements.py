"""POST /audit/acknowledgements: an operator answers for a gap that `audit reconcile` finds and nothing can mend."""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field, ValidationError

from coordinator.api.http import require_plain_json
from coordinator.api.requesters import CallRequesters
from coordinator.api.schemas import Document
from coordinator.audit.acknowledgements import GapAcknowledgement
from coordinator.domain.request_parsing.request_json import read_object
from coordinator.errors import BadField, BodyTooLarge, CoordinatorError
from coordinator.runs.intake import RequestIntake
from migration_sidecar.contract.messages import AuditEvent, PlainText
from migration_sidecar.http_server.openapi import answer, json_body, problems
from migration_sidecar.http_server.request_body import read_body

MAXIMUM_BYTES = 16 * 1024
VERB = "acknowledge"


class AcknowledgementBody(Document):
    """The event by which `audit reconcile` names the gap, and what came of it."""

    seq: Annotated[int, Field(ge=1, le=2**53)]
    reason: Annotated[PlainText, Field(min_length=1, max_length=2000)]


def routes(acknowledgement: GapAcknowledgement, intake: RequestIntake, requesters: CallRequesters) -> APIRouter:
    """The route; called by app.py. A refusal is put on record like that of a migration."""
    router = APIRouter()

    @router.post(
        "/audit/acknowledgements",
        status_code=202,
        responses={202: answer(AuditEvent), **problems(400, 401, 403, 404, 413, 422, 502, 503)},
        openapi_extra=json_body(AcknowledgementBody, {"seq": 93, "reason": "sent twice by a test, see INC-7"}),
    )
    async def acknowledge(request: Request) -> Response:
        body, requester = b"", None
        try:
            requester = await requesters.identify(request)
            require_plain_json(request)
            body = await read_body(request, MAXIMUM_BYTES, BodyTooLarge)
            asked = _read(body)
            event = await acknowledgement.acknowledge(asked.seq, asked.reason, requester)
        except CoordinatorError as error:
            sent = sha256(body).hexdigest()
            key = (VERB, error.code, sent)
            await intake.refuse_verb(key, error, requester, verb=VERB, body_sha256=sent)
            raise
        return JSONResponse(event.model_dump(mode="json"), status_code=202)

    return router


def _read(body: bytes) -> AcknowledgementBody:
    try:
        return AcknowledgementBody.model_validate(read_object(body), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise BadField(f"{where}: {first['msg']}.") from None
