"""The routes as a caller meets them: what they take, what they refuse, and how fast they say that the process lives."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest

import migration_sidecar.engine.engine
from migration_sidecar.api.app import make_app
from migration_sidecar.http_server.proven_caller import REMARK
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import SharedProcesses
from tests.integration.migration_sidecar.environments import Environment, applied, kinds, rows, until, version
from tests.integration.migration_sidecar.sleepers import HELD_UP, held_up

OPERATIONS = "/migrations/operations"
OpenDoor = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def door(environment: Environment, shared_processes: SharedProcesses, monkeypatch: pytest.MonkeyPatch) -> OpenDoor:
    """The real application with its real lifespan."""
    monkeypatch.setattr(migration_sidecar.engine.engine, "ForkserverClient", lambda *_: shared_processes)

    @asynccontextmanager
    async def open_door(**settings: str) -> AsyncIterator[httpx.AsyncClient]:
        app = make_app(environment.ini, settings=environment.settings(**settings))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=40) as client,
        ):
            yield client

    return open_door


def wanted(**facts: Any) -> dict[str, Any]:
    return {"operation_id": "run-1:orders", "target": "head", **facts}


async def test_a_service_migrates_in_the_background_when_it_starts(
    door: OpenDoor, environment: Environment, database: Database, tmp_path: Path
) -> None:
    environment.revision("a1", held_up(tmp_path / "go"))
    async with door() as client:
        await until(lambda: rows(database, HELD_UP))
        not_yet = await client.get("/readyz")
        assert (not_yet.status_code, not_yet.json()["reason"]) == (503, f"The database is being migrated. {REMARK}")
        (tmp_path / "go").touch()

        async def ready() -> bool:
            return (await client.get("/readyz")).status_code == 200

        await until(ready)
        status = (await client.get("/migrations")).json()
        assert (status["state"], status["current_revisions"], status["pending"]) == ("at_head", ["a1"], [])
        way = "SELECT DISTINCT detail->>'way_in' FROM migration_sidecar.journal"
        with database.connect() as connection:
            assert connection.execute(way).fetchall() == [("start-up",)]


async def test_a_service_that_only_checks_stays_unready_until_somebody_migrates(
    door: OpenDoor, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    async with door(MIGRATE_ON_STARTUP="check") as client:
        reason = f"The database is 1 revision behind; somebody has to migrate it. {REMARK}"
        behind = {"ready": False, "reason": reason}

        async def is_behind() -> bool:
            return bool((await client.get("/readyz")).json() == behind)

        await until(is_behind)
        accepted = await client.post(OPERATIONS, params={"wait_seconds": 20}, json=wanted())
        assert (accepted.status_code, accepted.json()["state"]) == (202, "succeeded")
        assert (await client.get("/readyz")).json() == {"ready": True, "reason": f"The database is at head. {REMARK}"}


async def test_a_service_that_is_told_to_look_away_is_ready(door: OpenDoor, environment: Environment) -> None:
    environment.revision("a1")
    async with door(MIGRATE_ON_STARTUP="off") as client:
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.get("/migrations")).json()["state"] == "empty"


async def test_live_health_answers_while_a_revision_sleeps(
    door: OpenDoor, environment: Environment, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    environment.revision("a1", held_up(go))
    async with door(MIGRATE_ON_STARTUP="check") as client:
        await client.post(OPERATIONS, json=wanted())
        for _ in range(20):
            assert (await client.get("/healthz")).json() == {"status": "alive"}
            state = (await client.get(f"{OPERATIONS}/run-1:orders", params={"wait_seconds": 0.05})).json()["state"]
            assert state in ("accepted", "running")
        go.touch()
        state = (await client.get(f"{OPERATIONS}/run-1:orders", params={"wait_seconds": 20})).json()["state"]
        assert state == "succeeded"


async def test_a_long_poll_returns_when_the_operation_ends(door: OpenDoor, environment: Environment) -> None:
    environment.revision("a1", 'op.execute("SELECT pg_sleep(0.5)")')
    async with door(MIGRATE_ON_STARTUP="check") as client:
        await client.post(OPERATIONS, json=wanted())
        begun = monotonic()
        ended = (await client.get(f"{OPERATIONS}/run-1:orders", params={"wait_seconds": 25})).json()
        assert ended["state"] == "succeeded"
        assert monotonic() - begun < 20


async def test_the_same_id_with_the_same_body_is_answered_and_with_another_is_409(
    door: OpenDoor, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    environment.revision("a2")
    async with door(MIGRATE_ON_STARTUP="check") as client:
        first = await client.post(OPERATIONS, params={"wait_seconds": 20}, json=wanted(target="a1"))
        again = await client.post(OPERATIONS, json=wanted(target="a1"))
        other = await client.post(OPERATIONS, json=wanted(target="a2"))
    assert (again.status_code, again.json()) == (202, first.json())
    assert (other.status_code, other.json()["code"]) == (409, "CM-601")
    assert other.headers["content-type"] == "application/problem+json"
    assert applied(database) == ["a1"]


REFUSED = {
    "an empty body": (b"", 400, "CM-101"),
    "not JSON": (b"{", 400, "CM-101"),
    "a list": (b"[]", 400, "CM-101"),
    "a key twice": (b'{"target": "a0", ' + json.dumps(wanted()).encode()[1:], 400, "CM-105"),
    "an unknown field": (json.dumps(wanted(approved_by="eve")).encode(), 422, "CM-603"),
    "a wrong type": (json.dumps(wanted(deadline_seconds="soon")).encode(), 422, "CM-603"),
    "NUL in an id": (json.dumps(wanted(operation_id="a\0b")).encode(), 400, "CM-104"),
    "NUL in a name": (json.dumps(wanted(requested_by="a\0b")).encode(), 400, "CM-104"),
    "NUL in a digest": (json.dumps(wanted(plan_digest="\0")).encode(), 400, "CM-104"),
    "an escape in a name": (json.dumps(wanted(requested_by="ada\x1b[2J")).encode(), 400, "CM-104"),
    "half a character": (b'{"operation_id": "x", "target": "head", "requested_by": "\\ud800"}', 400, "CM-104"),
    "bytes that are no UTF-8": (b'{"operation_id": "x", "target": "head", "requested_by": "\xff"}', 400, "CM-101"),
    "65 KiB": (json.dumps(wanted(requested_by="x" * 65 * 1024)).encode(), 413, "CM-106"),
    "deep nesting": (b"[" * 60_000, 400, "CM-105"),
    "a target that is SQL": (json.dumps(wanted(target="'; drop table t")).encode(), 422, "CM-203"),
    "a relative target": (json.dumps(wanted(target="-1")).encode(), 422, "CM-203"),
    "a relative target of a branch": (json.dumps(wanted(target="a1@-1")).encode(), 422, "CM-203"),
    "a head of no branch": (json.dumps(wanted(target="a@head")).encode(), 422, "CM-203"),
    "a revision of a branch": (json.dumps(wanted(target="a1@a1")).encode(), 422, "CM-203"),
    "one branch down": (json.dumps(wanted(target="a1@head", action="downgrade")).encode(), 422, "CM-203"),
    "a target of 60 KiB": (json.dumps(wanted(target="x" * 60 * 1024)).encode(), 422, "CM-203"),
    "a target that is no text": (json.dumps(wanted(target=1)).encode(), 422, "CM-603"),
    "base": (json.dumps(wanted(target="base")).encode(), 422, "CM-203"),
    "a partial id": (json.dumps(wanted(target="a")).encode(), 422, "CM-203"),
}


async def test_bodies_that_are_not_of_the_agreed_form_are_refused_with_a_problem(
    door: OpenDoor, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    async with door(MIGRATE_ON_STARTUP="check") as client:
        for name, (body, status, code) in REFUSED.items():
            answer = await client.post(OPERATIONS, content=body, headers={"content-type": "application/json"})
            assert (name, answer.status_code, answer.json()["code"]) == (name, status, code)
            assert answer.headers["content-type"] == "application/problem+json"
            assert {"title", "detail", "next_step"} <= answer.json().keys()
            assert len(answer.text) < 1000
        assert (await client.get("/migrations")).json()["state"] == "empty"


async def test_a_plan_is_asked_for_by_the_same_targets(door: OpenDoor, environment: Environment) -> None:
    environment.revision("a1")
    async with door(MIGRATE_ON_STARTUP="check") as client:
        for target in ("-1", "+1", "a", "base", "a@head", "a1@a1", "a1@-1", "head-1", "'; drop table t", "x" * 60_000):
            answer = await client.get("/migrations/plan", params={"target": target})
            assert (target[:20], answer.status_code, answer.json()["code"]) == (target[:20], 422, "CM-203")
            assert len(answer.text) < 1000
        for target in ("a1@head", "a1@base"):
            answer = await client.get("/migrations/plan", params={"target": target, "action": "downgrade"})
            assert (target, answer.status_code, answer.json()["code"]) == (target, 422, "CM-203")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"{OPERATIONS}/never-heard-of", 404),
        ("DELETE", f"{OPERATIONS}/never-heard-of", 404),
        ("GET", f"{OPERATIONS}/a%00b", 422),
        ("DELETE", f"{OPERATIONS}/a%00b", 422),
        ("GET", f"{OPERATIONS}/{'x' * 300}", 422),
        ("GET", f"{OPERATIONS}/%ff", 422),
        ("GET", f"{OPERATIONS}/x?wait_seconds=26", 422),
        ("GET", f"{OPERATIONS}/x?wait_seconds=nan", 422),
        ("GET", f"{OPERATIONS}/x?wait=1", 422),
        ("GET", "/migrations/plan?target=-1", 422),
        ("GET", "/migrations/plan?target=a%00b", 422),
        ("GET", "/migrations/plan?target=nowhere", 422),
        ("GET", "/migrations/plan?action=stamp", 422),
        ("PUT", "/migrations", 405),
        ("GET", "/docs", 404),
        ("GET", "/openapi.json", 404),
    ],
)
async def test_questions_that_make_no_sense_are_refused_with_a_problem(
    method: str, path: str, status: int, door: OpenDoor, environment: Environment
) -> None:
    environment.revision("a1")
    async with door(MIGRATE_ON_STARTUP="check") as client:
        await client.post(OPERATIONS, params={"wait_seconds": 20}, json=wanted())  # there is something to look into
        answer = await client.request(method, path)
        assert "<" not in answer.text, "no word of Python's"
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"].startswith("CM-")


async def test_a_database_that_is_away_is_told_and_does_not_break_the_routes(
    door: OpenDoor, environment: Environment
) -> None:
    environment.set_url("postgresql://ada:secret@127.0.0.1:9/nowhere")
    environment.revision("a1")
    async with door() as client:
        status = await client.get("/migrations")
        assert (status.status_code, status.json()["state"]) == (200, "unreachable")
        plan = await client.get("/migrations/plan")
        assert (plan.status_code, plan.json()["code"]) == (503, "CM-513")
        assert (await client.post(OPERATIONS, json=wanted())).status_code == 503
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/healthz")).status_code == 200


async def test_cancelling_over_http_ends_the_operation(
    door: OpenDoor, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    environment.revision("a2", 'op.execute("SELECT pg_sleep(60)")')
    async with door(MIGRATE_ON_STARTUP="check") as client:
        await client.post(OPERATIONS, json=wanted())
        await until(lambda: kinds_or_none(database)[-1:] == ["applied"])
        cancelled = (await client.delete(f"{OPERATIONS}/run-1:orders")).json()
    assert (cancelled["state"], cancelled["error"]["code"]) == ("cancelled", "CM-408")
    assert version(database) == ["a1"]


def kinds_or_none(database: Database) -> list[str]:
    with database.connect() as connection:
        if connection.execute("SELECT to_regclass('migration_sidecar.journal')").fetchone() == (None,):
            return []
    return kinds(database, "run-1:orders")


async def test_the_plan_shows_sql_only_when_it_is_asked_for(door: OpenDoor, environment: Environment) -> None:
    environment.revision("a1")
    async with door(MIGRATE_ON_STARTUP="check") as client:
        plain = (await client.get("/migrations/plan")).json()
        shown = (await client.get("/migrations/plan", params={"sql": "true"})).json()
    assert "sql" not in plain["revisions"][0]
    assert shown["revisions"][0]["sql"] == "CREATE TABLE t_a1 (id int);"
    assert (plain["from"], plain["to"]) == ([], ["a1"])


async def test_a_downgrade_is_refused_with_the_setting_and_the_command_that_there_are(
    door: OpenDoor, environment: Environment, database: Database
) -> None:
    for revision in ("a1", "a2"):
        environment.revision(revision)
    environment.ini.write_text(environment.ini.read_text().replace("endpoint_downgrades = true", ""))
    async with door(MIGRATE_ON_STARTUP="check") as client:
        await client.post(OPERATIONS, params={"wait_seconds": 20}, json=wanted())
        down = wanted(operation_id="down", action="downgrade", target="a1")
        answer = await client.post(OPERATIONS, params={"wait_seconds": 20}, json=down)
        assert (answer.status_code, answer.json()["code"]) == (403, "CM-206")
        assert "endpoint_downgrades = true" in answer.json()["next_step"]
        plan = (await client.get("/migrations/plan", params={"action": "downgrade", "target": "a1"})).json()
        assert [obstacle["code"] for obstacle in plan["obstacles"]] == ["CM-206"]
        assert (await client.get(f"{OPERATIONS}/down")).status_code == 404, "nothing was stored"
        assert version(database) == ["a2"]


async def test_a_downgrade_that_was_accepted_is_still_told_after_they_were_switched_off(
    door: OpenDoor, environment: Environment, database: Database
) -> None:
    """A coordinator repeats its order after a restart, and must not take the end of it for a refusal."""
    for revision in ("a1", "a2"):
        environment.revision(revision)
    down = wanted(operation_id="down", action="downgrade", target="a1")
    async with door(MIGRATE_ON_STARTUP="check") as client:
        await client.post(OPERATIONS, params={"wait_seconds": 20}, json=wanted())
        assert (await client.post(OPERATIONS, params={"wait_seconds": 20}, json=down)).json()["state"] == "succeeded"
    environment.ini.write_text(environment.ini.read_text().replace("endpoint_downgrades = true", ""))
    async with door(MIGRATE_ON_STARTUP="check") as client:
        assert (await client.post(OPERATIONS, json=down)).json()["state"] == "succeeded"


async def test_what_is_never_taken_back_is_not_whatever_else_is_set(
    door: OpenDoor, environment: Environment, database: Database
) -> None:
    for revision in ("a1", "a2"):
        environment.revision(revision)
    environment.ini.write_text(environment.ini.read_text() + "never_taken_back = true\n")
    async with door(MIGRATE_ON_STARTUP="check") as client:
        await client.post(OPERATIONS, params={"wait_seconds": 20}, json=wanted())
        answer = await client.post(OPERATIONS, json=wanted(operation_id="down", action="downgrade", target="a1"))
        assert (answer.status_code, answer.json()["code"]) == (403, "CM-206")
        assert version(database) == ["a2"]
