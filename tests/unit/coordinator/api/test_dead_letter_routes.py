"""The routes of dead letters: who may read them, who may make a run of one, and what is answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from coordinator.adapters.operator_keys import OperatorKeys
from coordinator.api.events.subscriptions import handle_event
from coordinator.api.schemas import DeadLetterDocument, DeadLetterPage
from coordinator.domain.catalog_file import read_catalog
from signed_calls.key_folder import public_folder
from signed_calls.keys import PublicKeys
from signed_calls.settings import CallSettings
from tests.unit.coordinator.api.test_who_may_call import OPERATORS, Door
from tests.unit.coordinator.at_the_doors import app_of, client_for, client_of, event, event_requesters
from tests.unit.coordinator.fakes import CATALOG, Life, World

UNKNOWN = "00000000-0000-5000-8000-000000000000"


@pytest.fixture
def life(world: World) -> Life:
    return world.life()


async def refused(life: Life, name: str = "e-1", data: Any = None) -> str:
    body = event(name, data or {"services": ["first"], "surprise": 1})
    assert await handle_event(body, life.intake, event_requesters(), life.letters) == "DROP"
    return str((await life.letters.page(1, None)).letters[0].id)


async def unproven(life: Life, name: str = "e-1") -> str:
    """A good event that was refused because nobody had signed it."""
    strict = event_requesters(CallSettings(required=True), unsigned_are_taken=False)
    body = event(name, {"services": ["first"]})
    assert await handle_event(body, life.intake, strict, life.letters) == "DROP"
    return str((await life.letters.page(1, None)).letters[0].id)


@pytest.fixture
def client(world: World, life: Life) -> httpx.AsyncClient:
    return client_of(world, life)


@pytest.fixture
def door(tmp_path: Path) -> Door:
    world = World(catalog=read_catalog(CATALOG + OPERATORS))
    life, keys = world.life(), OperatorKeys(world.catalog.operators, PublicKeys(public_folder(tmp_path)))
    app = app_of(world, life, CallSettings(required=True), keys, unsigned_events=False)
    return Door(world, life, client_for(app), tmp_path)


async def test_letters_are_listed_without_what_is_in_them(client: httpx.AsyncClient, life: Life) -> None:
    letter_id = await refused(life)
    answer = await client.get("/dead-letters")
    page = answer.json()
    assert DeadLetterPage.model_validate(page)
    (row,) = page["dead_letters"]
    assert (row["id"], row["request_id"], row["source"], row["times"]) == (letter_id, "e-1", "release-bot", 1)
    assert (row["reason"]["code"], row["run"], "event" in row) == ("CM-603", None, False)
    assert (page["next_cursor"], page["dropped"], page["not_kept"], page["damaged"]) == (None, 0, 0, [])


async def test_one_is_shown_with_what_came_by_either_id(client: httpx.AsyncClient, life: Life) -> None:
    letter_id = await refused(life)
    for name in (letter_id, "e-1"):
        shown = (await client.get(f"/dead-letters/{name}")).json()
        assert DeadLetterDocument.model_validate(shown)
        assert (shown["id"], '"surprise":1' in shown["event"]) == (letter_id, True)


async def test_pages_miss_none(client: httpx.AsyncClient, life: Life) -> None:
    for number in range(5):
        await refused(life, f"e-{number}")
    first = (await client.get("/dead-letters?limit=2")).json()
    found = [each["event_id"] for each in first["dead_letters"]]
    while first["next_cursor"]:
        first = (await client.get(f"/dead-letters?limit=2&cursor={first['next_cursor']}")).json()
        found += [each["event_id"] for each in first["dead_letters"]]
    assert found == ["e-4", "e-3", "e-2", "e-1", "e-0"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", f"/dead-letters/{UNKNOWN}", None, 404, "CM-604"),
        ("GET", "/dead-letters/%00", None, 404, "CM-604"),
        ("GET", "/dead-letters?limit=0", None, 422, "CM-603"),
        ("GET", "/dead-letters?limit=101", None, 422, "CM-603"),
        ("GET", "/dead-letters?state=open", None, 422, "CM-603"),
        ("GET", f"/dead-letters?cursor={UNKNOWN}", None, 422, "CM-603"),
        ("GET", f"/dead-letters/{UNKNOWN}?x=1", None, 422, "CM-603"),
        ("GET", f"/dead-letters/{UNKNOWN}/resubmit", None, 405, "CM-603"),
        ("DELETE", f"/dead-letters/{UNKNOWN}", None, 405, "CM-603"),
        ("POST", f"/dead-letters/{UNKNOWN}/resubmit", b"{}", 404, "CM-604"),
        ("POST", f"/dead-letters/{UNKNOWN}/resubmit", b"", 400, "CM-101"),
        ("POST", f"/dead-letters/{UNKNOWN}/resubmit", b"[]", 400, "CM-101"),
        ("POST", f"/dead-letters/{UNKNOWN}/resubmit", b'{"services": "all"}', 422, "CM-603"),
        ("POST", f"/dead-letters/{UNKNOWN}/resubmit", b'{"request_id": "a b"}', 400, "CM-103"),
        ("POST", f"/dead-letters/{UNKNOWN}/resubmit", b'{"request_id": 7}', 400, "CM-103"),
        ("POST", f"/dead-letters/{UNKNOWN}/resubmit?dry_run=true", b"{}", 422, "CM-603"),
    ],
)
async def test_every_wrong_way_to_ask_ends_in_a_problem(
    client: httpx.AsyncClient, method: str, path: str, body: bytes | None, status: int, code: str
) -> None:
    answer = await client.request(method, path, content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_what_is_resubmitted_is_answered_with_the_run_and_the_letter_shows_it(
    client: httpx.AsyncClient, life: Life
) -> None:
    letter_id = await unproven(life)
    for body in ({}, {"request_id": None}, {"request_id": "e-1"}):
        answer = await client.post(f"/dead-letters/{letter_id}/resubmit", json=body)
        assert (answer.status_code, answer.headers["location"]) == (202, "/migrations/e-1")
        assert answer.json()["request"]["services"] == ["first"]
    assert (await client.get("/dead-letters/e-1")).json()["run"]["request_id"] == "e-1"
    answer = await client.post(f"/dead-letters/{letter_id}/resubmit", json={"request_id": "r-2"})
    assert (answer.status_code, answer.json()["code"]) == (409, "CM-605")
    await life.drive()
    assert (await client.get("/migrations/e-1")).json()["state"] == "succeeded"


async def test_what_is_still_wrong_is_answered_as_it_would_be_for_a_call_and_is_on_record_once(
    world: World, client: httpx.AsyncClient, life: Life
) -> None:
    letter_id = await refused(life)
    for _ in range(2):
        answer = await client.post(f"/dead-letters/{letter_id}/resubmit", json={})
        assert (answer.status_code, answer.json()["code"]) == (422, "CM-603")
        assert "surprise" in answer.json()["detail"]
    verbs = [each.detail.get("verb") for each in world.audit.events.values()]
    assert verbs == [None, "resubmit"]
    assert "CM-603" in (await client.get("/migrations/e-1")).json()["detail"]


@pytest.mark.parametrize("path", ["/dead-letters", "/dead-letters/e-1"])
async def test_a_payload_is_read_by_those_who_may_read_and_by_nobody_else(door: Door, path: str) -> None:
    await unproven(door.life)
    assert (await door.call(None, "GET", path)).status_code == 401
    assert (await door.call("stranger", "GET", path)).status_code in (401, 403)
    for reader in ("clerk", "ada", "pipeline"):
        assert (await door.call(reader, "GET", path)).status_code == 200


async def test_a_run_is_made_of_it_by_those_who_may_request_it_and_the_others_are_on_record(door: Door) -> None:
    letter_id = await unproven(door.life)
    target = f"/dead-letters/{letter_id}/resubmit"
    for name, status in ((None, 401), ("clerk", 403)):
        answer = await door.call(name, "POST", target, {})
        assert answer.status_code == status
    assert (await door.life.letters.find(letter_id)).run is None
    answer = await door.call("pipeline", "POST", target, {})
    assert (answer.status_code, answer.json()["caller"]) == (202, "pipeline")
    refusals = [(each.actor, each.detail["code"], each.detail.get("verb")) for each in door.refusals()]
    assert refusals == [(None, "CM-108", None), (None, "CM-108", "resubmit"), ("clerk", "CM-109", "resubmit")]


async def test_a_signature_for_another_letter_is_none(door: Door) -> None:
    letter_id, other = await unproven(door.life), await unproven(door.life, "e-2")
    changes = {"target": f"/dead-letters/{other}/resubmit"}
    answer = await door.call("ada", "POST", f"/dead-letters/{letter_id}/resubmit", {}, changes)
    assert answer.status_code == 401
