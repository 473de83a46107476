"""GET /journals/{service}: what a service's own database says of its migrations, for whoever compares."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from coordinator.api.http import parameters, whole_number
from coordinator.domain.catalog import Catalog
from coordinator.errors import BadField, quoted
from coordinator.ports import Address, Journals
from migration_sidecar.contract.journal import LAST_SEQ

PAGE = 500
MOST_ENTRIES = 1000


def routes(catalog: Catalog, journals: Journals) -> APIRouter:
    router = APIRouter()

    @router.get("/journals/{service}")
    async def show_journal(request: Request, service: str) -> Response:
        """Only the catalog's own name is passed on, never what was sent."""
        given = parameters(request, ("after", "limit"))
        limit = whole_number(given, "limit", PAGE, least=1, most=MOST_ENTRIES)
        member = catalog.find(service)
        address = Address(member.name, member.database or "")
        page = await journals.journal(address, after=_position(given.get("after", "0")), limit=limit)
        return Response(page.model_dump_json(), media_type="application/json")

    return router


def _position(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 19 or int(text) > LAST_SEQ:
        raise BadField(f"after = {quoted(text)} is not the next_after of a page.")
    return int(text)
