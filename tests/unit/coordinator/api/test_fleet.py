"""GET /fleet tells what the catalog says of former names, for whoever compares with the audit."""

from __future__ import annotations

import httpx
import pytest

from coordinator.domain.catalog_file import read_catalog
from tests.unit.coordinator.api.test_call_and_event import client, life  # noqa: F401 - fixtures
from tests.unit.coordinator.fakes import CATALOG, World

PAST = """
[[services]]
name = "third"
database = "third_db"
former_names = ["tertiary"]
former_databases = ["tertiary_db"]
[[former_services]]
name = "gone"
left = 2026-03-01
reason = "its work is done"
"""


@pytest.fixture
def world() -> World:
    return World(catalog=read_catalog(CATALOG + PAST))


async def test_the_fleet_tells_its_past(client: httpx.AsyncClient) -> None:  # noqa: F811
    answer = (await client.get("/fleet")).json()
    rows = {row["service"]: row for row in answer["services"]}
    assert (rows["third"]["former_names"], rows["third"]["former_databases"]) == (["tertiary"], ["tertiary_db"])
    assert "former_names" not in rows["first"]
    until = "2026-03-02T00:00:00+00:00"
    gone = {"service": "gone", "left": "2026-03-01", "until": until, "reason": "its work is done"}
    assert answer["former_services"] == [gone]


async def test_a_request_for_a_former_name_is_answered_with_the_name_of_today(client: httpx.AsyncClient) -> None:  # noqa: F811
    answer = await client.post("/migrations", json={"services": ["tertiary"]})
    assert (answer.status_code, answer.json()["code"]) == (422, "CM-201")
    assert answer.json()["detail"] == "tertiary is called third now."
    assert (await client.get("/journals/tertiary")).status_code in (404, 422)
