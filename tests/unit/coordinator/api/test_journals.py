"""GET /journals/{service}: only services of the catalog, only questions that make sense."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest
from fastapi import FastAPI

from coordinator.api import journals
from coordinator.api.http import PROBLEMS
from coordinator.domain.catalog_file import read_catalog
from coordinator.ports import ServiceAddress
from migration_sidecar.contract.journal import JournalPage
from migration_sidecar.http_server.problem_response import install_problem_handlers
from tests.unit.coordinator.at_the_doors import call_requesters
from tests.unit.coordinator.fakes import CATALOG


@dataclass
class EmptyJournals:
    asked: list[tuple[ServiceAddress, int, int]] = field(default_factory=list)

    async def journal(self, address: ServiceAddress, *, after: int, limit: int) -> JournalPage:
        self.asked.append((address, after, limit))
        return JournalPage(service=address.service, database=address.database, entries=[], positions=[])


@pytest.fixture
def fleet() -> EmptyJournals:
    return EmptyJournals()


@pytest.fixture
async def client(fleet: EmptyJournals) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    install_problem_handlers(app, PROBLEMS)
    app.include_router(journals.routes(read_catalog(CATALOG), fleet, call_requesters()))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://coordinator") as client:
        yield client


async def test_the_page_is_passed_on_as_the_service_gave_it(client: httpx.AsyncClient, fleet: EmptyJournals) -> None:
    answer = await client.get("/journals/first", params={"after": "9223372036854775807", "limit": "7"})
    assert answer.json() == {
        "service": "first",
        "database": "first_db",
        "entries": [],
        "positions": [],
        "next_after": None,
    }
    assert fleet.asked == [(ServiceAddress("first", "first_db"), 2**63 - 1, 7)]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/journals/nobody", "CM-201"),
        ("/journals/plain", "CM-201"),
        ("/journals/FIRST", "CM-201"),
        ("/journals/first?after=-1", "CM-603"),
        ("/journals/first?after=9223372036854775808", "CM-603"),
        ("/journals/first?after=%C2%B2", "CM-603"),
        ("/journals/first?limit=0", "CM-603"),
        ("/journals/first?limit=1001", "CM-603"),
        ("/journals/first?before=1", "CM-603"),
    ],
)
async def test_a_wrong_question_reaches_no_service(
    client: httpx.AsyncClient, fleet: EmptyJournals, path: str, code: str
) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert fleet.asked == []
