"""Both doors as their callers see them, with everything behind them in memory."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from coordinator.api import migrations
from coordinator.app import create_app
from tests.unit.coordinator.at_the_doors import app_of, client_for
from tests.unit.coordinator.fakes import Life, World


@pytest.fixture
def life(world: World) -> Life:
    return world.life()


@pytest.fixture
async def client(world: World, life: Life) -> AsyncIterator[httpx.AsyncClient]:
    app = app_of(world, life, is_worker_connected=lambda: world.workflows.connected)
    async with client_for(app) as client:
        yield client


def event(event_id: str = "e-1", **data: Any) -> dict[str, Any]:
    data = data or {"services": "all"}
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": "s",
        "type": "t",
        "topic": "migrate.requested",
        "data": data,
    }


async def deliver(client: httpx.AsyncClient, body: Any, door: str = "/events/migrate-requested") -> str:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = await client.post(door, content=content, headers={"content-type": "application/cloudevents+json"})
    assert answer.status_code == 200
    return str(answer.json()["status"])


async def test_a_call_is_answered_with_the_run_and_where_it_is(client: httpx.AsyncClient) -> None:
    answer = await client.post("/migrations", json={"services": "all", "request_id": "r-1"})
    assert (answer.status_code, answer.headers["location"]) == (202, "/migrations/r-1")
    assert (answer.json()["state"], answer.json()["audit"]) == ("accepted", "pending")
    again = await client.post("/migrations", json={"services": "all", "request_id": "r-1"})
    assert (again.status_code, again.json()) == (202, answer.json())


async def test_a_call_without_an_id_is_told_the_one_it_got(client: httpx.AsyncClient) -> None:
    answers = [(await client.post("/migrations", json={"services": "all"})).json() for _ in range(2)]
    assert answers[0]["request_id"] != answers[1]["request_id"]


async def test_the_same_id_through_both_doors_is_one_run(client: httpx.AsyncClient, world: World, life: Life) -> None:
    for _ in range(3):
        assert await deliver(client, event(services="all", request_id="r-1")) == "SUCCESS"
        assert (await client.post("/migrations", json={"services": "all", "request_id": "r-1"})).status_code == 202
    await life.drive()
    assert len((await client.get("/migrations")).json()["runs"]) == 1
    assert all(service.applied == ["r1", "r2"] for service in world.fleet.services.values())


async def test_another_body_under_a_known_id_is_a_conflict_on_record(client: httpx.AsyncClient, world: World) -> None:
    await client.post("/migrations", json={"services": "all", "request_id": "r-1"})
    for _ in range(3):
        answer = await client.post("/migrations", json={"services": ["first"], "request_id": "r-1"})
        assert (answer.status_code, answer.json()["code"]) == (409, "CM-601")
        assert await deliver(client, event(services=["first"], request_id="r-1")) == "DROP"
    assert world.audit.told("r-1").count(("migration.conflict", None)) == 1
    assert ("migration.rejected", None) not in world.audit.told("r-1")


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 400, "CM-101"),
        (b"nonsense", 400, "CM-101"),
        (b'{"services": "all", "services": "all"}', 400, "CM-105"),
        (b'{"services": "all", "reason": "\\u0000"}', 400, "CM-104"),
        (b'{"services": "all", "request_id": "a/b"}', 400, "CM-103"),
        (b'{"services": ["nobody"]}', 422, "CM-201"),
        (b'{"services": ["plain"]}', 422, "CM-201"),
        (b'{"services": []}', 422, "CM-202"),
        (b'{"services": "all", "target": {"first": "base"}}', 422, "CM-203"),
        (b'{"services": "all", "status": "succeeded"}', 422, "CM-603"),
        (b" " * 300_000, 413, "CM-106"),
    ],
)
async def test_a_bad_body_is_a_problem_for_a_call_and_a_record_at_either_door(
    client: httpx.AsyncClient, world: World, content: bytes, status: int, code: str
) -> None:
    for _ in range(2):
        answer = await client.post("/migrations", content=content, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["next_step"]
        assert await deliver(client, content) == "DROP"
    assert await deliver(client, content, "/events/migrate-requested-dead") == "SUCCESS"
    assert [kind for kind, _ in world.audit.told()] == ["migration.rejected"] * 2
    assert [event.detail["door"] for event in world.audit.events.values()] == ["call", "event"]
    assert next(iter(world.audit.events.values())).detail["code"] == code


async def test_a_call_with_a_parameter_is_refused_and_put_on_record(client: httpx.AsyncClient, world: World) -> None:
    answer = await client.post("/migrations?dry_run=true", json={"services": "all"})
    assert (answer.status_code, answer.json()["code"]) == (422, "CM-603")
    assert [kind for kind, _ in world.audit.told()] == ["migration.rejected"]
    assert (await client.get("/migrations")).json()["runs"] == []


@pytest.mark.parametrize("body", [{"services": ["nobody"]}, {"services": []}, {"services": "all", "surprise": 1}])
async def test_a_problem_names_the_request_it_is_about(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    answer = await client.post("/migrations", json={**body, "request_id": "r-1"})
    assert answer.json()["request_id"] == "r-1"


async def test_after_bad_events_the_next_good_one_works(client: httpx.AsyncClient) -> None:
    assert await deliver(client, event(services=7)) == "DROP"
    assert await deliver(client, b"\xff") == "DROP"
    assert await deliver(client, event("e-2")) == "SUCCESS"
    assert (await client.get("/migrations/e-2")).status_code == 200


async def test_an_event_comes_again_while_state_is_down(client: httpx.AsyncClient, world: World) -> None:
    world.documents.down = True
    assert await deliver(client, event()) == "RETRY"
    assert await deliver(client, event(), "/events/migrate-requested-dead") == "RETRY"
    answer = await client.post("/migrations", json={"services": "all"})
    assert (answer.status_code, answer.json()["code"], answer.json()["retryable"]) == (503, "CM-812", True)


async def test_a_good_event_that_could_not_be_taken_in_time_is_taken_as_a_dead_letter(
    client: httpx.AsyncClient,
) -> None:
    assert await deliver(client, event(), "/events/migrate-requested-dead") == "SUCCESS"
    assert (await client.get("/migrations/e-1")).json()["state"] == "accepted"


async def test_a_refused_event_is_kept_while_the_audit_is_away(
    client: httpx.AsyncClient, world: World, life: Life
) -> None:
    world.audit.down = True
    assert await deliver(client, event(services=["nobody"])) == "DROP"
    world.audit.down = False
    assert await life.rejections.flush() == 1
    assert world.audit.told("e-1") == [("migration.rejected", None)]


async def test_only_plain_json_is_taken(client: httpx.AsyncClient) -> None:
    for headers in ({"content-type": "text/plain"}, {"content-type": "application/json", "content-encoding": "gzip"}):
        answer = await client.post("/migrations", content=b'{"services": "all"}', headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (415, "CM-101")


async def test_reading_stops_at_the_limit_whatever_the_sender_goes_on_with(client: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 50 * 1024 * 1024:
            sent += 64 * 1024
            yield b" " * 64 * 1024

    answer = await client.post("/migrations", content=endless(), headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert sent < 512 * 1024


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("DELETE", "/migrations", 405),
        ("PUT", "/migrations/r-1", 405),
        ("POST", "/migrations/r-1/approve", 400),
        ("POST", "/migrations/r-1/forget", 404),
        ("GET", "/docs", 404),
        ("GET", "/openapi.json", 404),
        ("GET", "/migrations/none", 404),
        ("GET", "/migrations/a%20b", 400),
        ("GET", "/migrations?limit=0", 422),
        ("GET", "/migrations?limit=1000000000", 422),
        ("GET", "/migrations?limit=1&limit=2", 422),
        ("GET", "/migrations?order=1;drop", 422),
        ("GET", "/migrations?state=finished", 422),
        ("GET", "/migrations?cursor=forged", 422),
        ("GET", "/migrations/r-1?wait_seconds=-1", 422),
        ("GET", "/migrations/r-1?wait_seconds=1e3", 422),
        ("GET", "/fleet?x=1", 422),
        ("POST", "/plans?sql=maybe", 422),
    ],
)
async def test_every_wrong_way_to_ask_ends_in_a_problem(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"code", "title", "detail", "next_step", "status"} <= answer.json().keys()


async def test_what_nobody_foresaw_is_told_without_detail(
    client: httpx.AsyncClient, life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: str) -> None:
        raise RuntimeError("postgresql://user:secret@host/database")

    monkeypatch.setattr(life.runs, "read", broken)
    answer = await client.get("/migrations/r-1")
    assert (answer.status_code, answer.json()["code"]) == (500, "CM-901")
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


async def test_waiting_for_a_run_ends_with_its_next_change(
    client: httpx.AsyncClient, life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "RECHECK_SECONDS", 20)
    await client.post("/migrations", json={"services": "all", "request_id": "r-1"})
    waiting = asyncio.create_task(client.get("/migrations/r-1?wait_seconds=20"))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await life.drive()
    async with asyncio.timeout(15):  # well below the 20 s that it would wait otherwise
        assert (await waiting).json()["state"] != "accepted"


async def test_waiting_for_what_has_changed_already_takes_no_time(client: httpx.AsyncClient, life: Life) -> None:
    await client.post("/migrations", json={"services": "all", "request_id": "r-1"})
    await life.runs.update("r-1", lambda run: run.model_copy(update={"waiting_for": "something"}))
    async with asyncio.timeout(15):  # well below the 20 s
        answer = await client.get("/migrations/r-1?wait_seconds=20&after_version=1")
        assert answer.json()["version"] == 2
        await life.drive()
        assert (await client.get("/migrations/r-1?wait_seconds=20")).json()["state"] == "succeeded"


async def test_runs_are_listed_newest_first_in_pages_that_miss_none(client: httpx.AsyncClient, life: Life) -> None:
    for number in range(7):
        service = "first" if number % 2 else "second"
        await client.post("/migrations", json={"services": [service], "request_id": f"r-{number}"})
    await life.drive()
    found: list[str] = []
    cursor = ""
    while True:
        page = (await client.get(f"/migrations?limit=3{cursor}")).json()
        found += [run["request_id"] for run in page["runs"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert found == [f"r-{number}" for number in reversed(range(7))]
    named = (await client.get("/migrations?service=first&state=succeeded")).json()["runs"]
    assert [run["request_id"] for run in named] == ["r-5", "r-3", "r-1"]
    assert (await client.get("/migrations?state=failed")).json() == {"runs": [], "next_cursor": None}


async def test_a_plan_shows_what_would_happen_and_records_nothing(client: httpx.AsyncClient, world: World) -> None:
    world.fleet.services["second"].down = True
    answer = (await client.post("/plans", json={"services": "all"})).json()
    assert [one["to"] for one in answer["services"]] == [["r2"], ["r2"]]
    assert [one["code"] for one in answer["obstacles"]] == ["CM-802"]
    assert world.documents.documents == {}
    assert world.audit.events == {}


async def test_the_fleet_shows_every_service_and_why_one_cannot_be_seen(
    client: httpx.AsyncClient, world: World
) -> None:
    world.fleet.services["first"].down = True
    world.fleet.services["second"].unreadable = True
    rows = {row["service"]: row for row in (await client.get("/fleet")).json()["services"]}
    assert rows["audit"]["reachable"]
    assert rows["audit"]["behind"] == 0
    assert (rows["second"]["state"], rows["second"]["behind"]) == ("unknown", None)
    assert rows["first"]["error"]["code"] == "CM-802"
    assert rows["plain"]["reason"] == "it keeps nothing"


async def test_health_is_live_without_looking_and_ready_only_with_its_state(
    client: httpx.AsyncClient, world: World
) -> None:
    world.documents.down = True
    assert (await client.get("/healthz")).status_code == 200
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "CM-812")
    world.documents.down = False
    assert (await client.get("/readyz")).status_code == 200


async def test_it_is_not_ready_while_the_workflow_engine_takes_no_turn(client: httpx.AsyncClient, world: World) -> None:
    world.workflows.connected = False
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "CM-813")
    assert "coordinator_worker_connected 0" in (await client.get("/metrics")).text


async def test_it_is_not_ready_while_an_accepted_run_does_not_start(
    client: httpx.AsyncClient, world: World, life: Life
) -> None:
    await client.post("/migrations", json={"services": "all", "request_id": "lost"})
    for _ in range(6):
        world.seconds += 10
        await life.recovery_loop.run_once()
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "CM-813")
    assert "lost" in answer.json()["detail"]
    await life.drive()
    await life.recovery_loop.run_once()
    assert (await client.get("/readyz")).status_code == 200


async def test_daprd_learns_of_both_topics_and_that_only_requests_have_a_dead_letter_topic(
    client: httpx.AsyncClient,
) -> None:
    assert (await client.get("/dapr/subscribe")).json() == [
        {
            "pubsubname": "pubsub",
            "topic": "migrate.requested",
            "route": "/events/migrate-requested",
            "metadata": {},
            "deadLetterTopic": "migrate.requested.dead",
        },
        {
            "pubsubname": "pubsub",
            "topic": "migrate.requested.dead",
            "route": "/events/migrate-requested-dead",
            "metadata": {},
        },
    ]


async def test_the_numbers_count_what_came_in(client: httpx.AsyncClient) -> None:
    await client.post("/migrations", json={"services": "all"})
    await deliver(client, b"nonsense")
    text = (await client.get("/metrics")).text
    assert 'coordinator_requests_total{outcome="accepted"} 1' in text
    assert 'coordinator_requests_total{outcome="rejected"} 1' in text


async def test_the_numbers_keep_their_names_and_kinds_and_each_says_what_it_is(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = list(text_string_to_metric_families(answer.text))
    assert {family.name: (family.type, [sample.name for sample in family.samples]) for family in families} == {
        "coordinator_requests": ("counter", ["coordinator_requests_total"] * 3),
        "coordinator_open_runs": ("gauge", ["coordinator_open_runs"]),
        "coordinator_still_runs": ("gauge", ["coordinator_still_runs"]),
        "coordinator_audit_away": ("gauge", ["coordinator_audit_away"]),
        "coordinator_audit_events_waiting": ("gauge", ["coordinator_audit_events_waiting"]),
        "coordinator_damaged_documents": ("gauge", ["coordinator_damaged_documents"]),
        "coordinator_worker_connected": ("gauge", ["coordinator_worker_connected"]),
    }
    assert all(family.documentation for family in families)


def test_making_the_application_connects_and_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COORDINATOR_CATALOG", "/nowhere/at/all.toml")
    assert create_app().title == "Migration coordinator"
