"""GET /journals/{service}: the journal rows in a service's own database; `audit reconcile` compares them."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from coordinator.api.requesters import CallRequesters
from coordinator.domain.catalog import Catalog
from coordinator.ports import JournalSource, ServiceAddress
from migration_sidecar.contract.journal import JournalPage, JournalQuery
from migration_sidecar.http_server.openapi import answer, problems
from migration_sidecar.http_server.validation import EACH_PARAMETER_ONCE

RESPONSES = {200: answer(JournalPage), **problems(401, 403, 409, 422, 502, 503)}


def routes(catalog: Catalog, journal_source: JournalSource, requesters: CallRequesters) -> APIRouter:
    """The route; called by app.py."""
    reader = Depends(partial(requesters.require_reader, confidential=True))
    router = APIRouter(dependencies=[reader, EACH_PARAMETER_ONCE])

    @router.get("/journals/{service}", responses=RESPONSES)
    async def show_journal(service: str, query: Annotated[JournalQuery, Query()]) -> Response:
        """One page of journal rows. The request goes to the name in the catalog, never to the text that was sent."""
        member = catalog.find(service)
        address = ServiceAddress(member.name, member.database or "")
        page = await journal_source.journal(address, after=query.after, limit=query.limit)
        return Response(page.model_dump_json(), media_type="application/json")

    return router
