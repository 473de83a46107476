"""GET /journals/{service}: the journal rows in a service's own database; `audit reconcile` compares them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from coordinator.domain.catalog import Catalog
from coordinator.ports import JournalSource, ServiceAddress
from migration_sidecar.contract.journal import JournalPage, JournalQuery
from migration_sidecar.http_server.openapi import answer, problems
from migration_sidecar.http_server.validation import EACH_PARAMETER_ONCE

RESPONSES = {200: answer(JournalPage), **problems(409, 422, 502, 503)}


def routes(catalog: Catalog, journal_source: JournalSource) -> APIRouter:
    """The route; called by app.py."""
    router = APIRouter(dependencies=[EACH_PARAMETER_ONCE])

    @router.get("/journals/{service}", responses=RESPONSES)
    async def show_journal(service: str, query: Annotated[JournalQuery, Query()]) -> Response:
        """One page of journal rows. The request goes to the name in the catalog, never to the text that was sent."""
        member = catalog.find(service)
        address = ServiceAddress(member.name, member.database or "")
        page = await journal_source.journal(address, after=query.after, limit=query.limit)
        return Response(page.model_dump_json(), media_type="application/json")

    return router
