"""Proxies the GET routes of the audit service; answers are streamed back unchanged."""

from __future__ import annotations

import re
from functools import partial
from typing import Any, NamedTuple

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse

from coordinator.api.requesters import CallRequesters
from coordinator.errors import BadField, quote_for_message
from coordinator.ports import AuditReader
from migration_sidecar.contract.audit import (
    AnchorPage,
    EventProof,
    RunEvents,
    StoredAuditEvent,
    TrustedKeys,
    Verification,
)
from migration_sidecar.contract.audit_queries import EVENT_NAME, AnchorQuery, AuditQuery, ExportQuery, PieceQuery
from migration_sidecar.contract.messages import AuditPage
from migration_sidecar.contract.query_parameters import NoParameters, QueryParameters
from migration_sidecar.http_server.openapi import answer, problems, query_parameters

NAME = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
PATTERNS = {"event": EVENT_NAME, "event_id": EVENT_NAME, "request_id": f"^{NAME.pattern}$"}
LONGEST_QUERY = 2000  # characters; daprd reads no request line of more than 4 KiB
LINES = {"content": {"application/jsonl": {"schema": {"type": "string"}}}}


class Proxied(NamedTuple):
    """A proxied route: its answer and its parameters for OpenAPI. The audit service validates the parameters itself."""

    answer: dict[str, Any]
    query: type[QueryParameters] = NoParameters


ROUTES = {
    "/audit/events": Proxied(answer(AuditPage), AuditQuery),
    "/audit/events/{event}": Proxied(answer(StoredAuditEvent)),
    "/audit/runs/{request_id}": Proxied(answer(RunEvents)),
    "/audit/verify": Proxied(answer(Verification), PieceQuery),
    "/audit/anchors": Proxied(answer(AnchorPage), AnchorQuery),
    "/audit/keys": Proxied(answer(TrustedKeys)),
    "/audit/proof/{event}": Proxied(answer(EventProof)),
    "/audit/export": Proxied(LINES, ExportQuery),
}


def routes(audit: AuditReader, requesters: CallRequesters) -> APIRouter:
    """The proxy routes; called by app.py."""
    router = APIRouter(dependencies=[Depends(partial(requesters.require_reader, confidential=True))])

    async def pass_on(request: Request) -> Response:
        answer = await audit.open(_path(request), _query(request))
        return StreamingResponse(answer.chunks(), media_type=answer.content_type)

    for path, route in ROUTES.items():
        router.add_api_route(
            path,
            pass_on,
            methods=["GET"],
            response_class=StreamingResponse,
            responses={200: route.answer, **problems(400, 401, 403, 404, 409, 422, 502, 503)},
            openapi_extra={"parameters": [*_path_parameters(path), *query_parameters(route.query)]},
        )
    return router


def _path_parameters(path: str) -> list[dict[str, Any]]:
    names = re.findall(r"{(\w+)}", path)
    of_name: dict[str, Any] = {"in": "path", "required": True}
    return [{"name": name, "schema": {"type": "string", "pattern": PATTERNS[name]}, **of_name} for name in names]


def _path(request: Request) -> str:
    """The path for the audit service. Raises BadField (CM-603) for a name that would need quoting."""
    for kind, name in request.path_params.items():
        if not NAME.fullmatch(name):
            raise BadField(f"{kind} = {quote_for_message(name)} is not of the form [A-Za-z0-9_-]{{1,128}}.")
    return str(request.scope["route"].path).format(**request.path_params)


def _query(request: Request) -> str:
    query: bytes = request.scope["query_string"]
    if not query.isascii() or len(query) > LONGEST_QUERY:
        raise BadField(f"The parameters must be ASCII and at most {LONGEST_QUERY} characters long.")
    return query.decode("ascii")
