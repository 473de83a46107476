"""The audit's own routes at the coordinator's door: questions are passed on, and the answer comes back as it comes."""

from __future__ import annotations

import re

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from coordinator.errors import BadField, quoted
from coordinator.ports import AuditReader

# The audit itself says which parameters there are and refuses the others.
ROUTES = (
    "/audit/events",
    "/audit/events/{event}",
    "/audit/runs/{request_id}",
    "/audit/verify",
    "/audit/anchors",
    "/audit/keys",
    "/audit/proof/{event_id}",
    "/audit/export",
)
NAME = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
LONGEST_QUERY = 2000  # a sidecar reads no request line of more than 4 KiB


def routes(audit: AuditReader) -> APIRouter:
    router = APIRouter()

    async def pass_on(request: Request) -> Response:
        answer = await audit.open(_path(request), _query(request))
        return StreamingResponse(answer.chunks(), media_type=answer.content_type)

    for path in ROUTES:
        router.add_api_route(path, pass_on, methods=["GET"])
    return router


def _path(request: Request) -> str:
    """Of the route's own words and a name that needs no quoting."""
    for kind, name in request.path_params.items():
        if not NAME.fullmatch(name):
            raise BadField(f"{kind} = {quoted(name)} is not of the form [A-Za-z0-9_-]{{1,128}}.")
    return str(request.scope["route"].path).format(**request.path_params)


def _query(request: Request) -> str:
    query: bytes = request.scope["query_string"]
    if not query.isascii() or len(query) > LONGEST_QUERY:
        raise BadField(f"The parameters must be ASCII and at most {LONGEST_QUERY} characters long.")
    return query.decode("ascii")
