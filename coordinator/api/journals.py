"""GET /journals/{service}: what a service's own database says of its migrations, for whoever compares."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from coordinator.domain.catalog import Catalog
from coordinator.ports import JournalSource, ServiceAddress
from migration_sidecar.contract.journal import JournalPage, JournalQuery
from migration_sidecar.http_server.openapi import answer, problems
from migration_sidecar.http_server.validation import EACH_PARAMETER_ONCE

RESPONSES = {200: answer(JournalPage), **problems(409, 422, 502, 503)}


def routes(catalog: Catalog, journals: JournalSource) -> APIRouter:
    router = APIRouter(dependencies=[EACH_PARAMETER_ONCE])

    @router.get("/journals/{service}", responses=RESPONSES)
    async def show_journal(service: str, query: Annotated[JournalQuery, Query()]) -> Response:
        """Only the catalog's own name is passed on, never what was sent."""
        member = catalog.find(service)
        address = ServiceAddress(member.name, member.database or "")
        page = await journals.journal(address, after=query.after, limit=query.limit)
        return Response(page.model_dump_json(), media_type="application/json")

    return router
