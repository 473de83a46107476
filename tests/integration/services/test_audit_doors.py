"""POST and GET /audit/events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from migration_sidecar.api.problems import PROBLEMS
from migration_sidecar.config.settings import read_settings
from migration_sidecar.contract.audit_detail import LIMITS
from migration_sidecar.engine.engine import Engine
from migration_sidecar.http_server.problem_response import install_problem_handlers
from migration_sidecar.http_server.proven_caller import CallPolicy
from services.cas_service.api.events import router
from signed_calls.settings import CallSettings
from tests.integration.databases import Database
from tests.integration.services.fleet import BY_FOLDER


@asynccontextmanager
async def doors(url: str) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    install_problem_handlers(app, PROBLEMS)
    app.include_router(router)
    engine = Engine(read_settings(BY_FOLDER["cas_service"].path / "alembic.ini", {"DATABASE_URL": url}))
    app.state.database, app.state.call_policy = engine.database, CallPolicy(CallSettings(required=False), "cas-audit")
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client
    await engine.close()


@pytest.fixture
async def door(audit: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with doors(audit.url) as door:
        yield door


def event(**facts: Any) -> dict[str, Any]:
    fresh = {"event_id": str(uuid4()), "event_type": "migration.started", "occurred_at": "2026-01-02T03:04:05.123456Z"}
    return {**fresh, "source": "coordinator", **facts}


async def send(door: httpx.AsyncClient, *events: dict[str, Any]) -> httpx.Response:
    return await door.post("/audit/events", json={"events": events})


async def test_a_batch_is_answered_with_a_receipt(door: httpx.AsyncClient) -> None:
    first, second = event(), event()
    receipt = await send(door, first, second)
    assert receipt.json() == {"stored": 2, "repeated": 0, "conflicts": []}
    receipt = await send(door, first, {**second, "actor": "mallory"}, event())
    assert receipt.json() == {"stored": 1, "repeated": 1, "conflicts": [second["event_id"]]}


async def test_what_is_shown_is_what_was_sent(door: httpx.AsyncClient) -> None:
    detail = {"reason": "é '; DROP", "not_before": None, "max_parallel": 1.5}
    sent = event(event_type="migration.requested", request_id="release-41", duration_ms=12, detail=detail)
    await send(door, sent)
    [shown] = (await door.get("/audit/events")).json()["events"]
    assert {name: shown[name] for name in sent} == sent
    assert shown["seq"] == 1


async def test_pages_follow_each_other_without_loss_or_repeat(door: httpx.AsyncClient) -> None:
    sent = [event(service="cds-client" if number % 2 else "cds-task") for number in range(21)]
    await send(door, *sent)
    seen, cursor = [], None
    while True:
        query = {"limit": "4", "service": "cds-task", **({"cursor": cursor} if cursor else {})}
        page = (await door.get("/audit/events", params=query)).json()
        seen += [each["event_id"] for each in page["events"]]
        await send(door, event(service="cds-client"))
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == [each["event_id"] for each in sent[::2]]


@pytest.mark.parametrize("name", ["request_id", "service", "type"])
async def test_events_are_found_by(door: httpx.AsyncClient, name: str) -> None:
    column = {"type": "event_type"}.get(name, name)
    value = "migration.finished" if name == "type" else "wanted.one"
    wanted = event(**{column: value})
    await send(door, event(), wanted, event())
    page = (await door.get("/audit/events", params={name: value})).json()
    assert [each["event_id"] for each in page["events"]] == [wanted["event_id"]]


BAD_QUERIES = [
    "limit=0", "limit=1001", "limit=1000000000", "limit=ten", "order=1;drop", "cursor=", "cursor=YWZ0ZXI6LTE",
    "cursor=YWZ0ZXI6MDE", "cursor=%C3%A9", "cursor=YWZ0ZXI6OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "limit=1&limit=2",
    "service=", "service=%00", f"request_id={'x' * 129}",
]  # fmt: skip


@pytest.mark.parametrize("query", BAD_QUERIES)
async def test_a_question_that_makes_no_sense_is_refused(door: httpx.AsyncClient, query: str) -> None:
    answer = await door.get(f"/audit/events?{query}")
    wanted = (400, "CM-104") if "%00" in query else (422, "CM-603")
    assert (answer.status_code, answer.json()["code"]) == wanted
    assert answer.headers["content-type"] == "application/problem+json"


def body(**facts: Any) -> bytes:
    return json.dumps({"events": [event(**facts)]}).encode()


def asking(reason: Any) -> bytes:
    return body(event_type="migration.requested", detail={"reason": reason})


NOT_UNDERSTOOD = {
    "not_json": b"{",
    "nothing": b"",
    "no_events": b'{"events": []}',
    "too_many_events": json.dumps({"events": [event() for _ in range(1001)]}).encode(),
    "unknown_field": body(hash="mine"),
    "lone_surrogate": body(actor="\ud800"),
    "no_time_zone": body(occurred_at="2026-01-02T03:04:05"),
    "year_10000_in_utc": body(occurred_at="9999-12-31T23:59:59-10:00"),
    "too_deep": body(detail={}).replace(b"{}", b'{"a":' * 5000 + b"1" + b"}" * 5000),
    "bad_type": body(event_type="Robert'); DROP"),
    "no_such_type": body(event_type="migration.dreamt"),
    "no_such_fact": body(detail={"password": "hunter2"}),
    "a_fact_of_another_type": body(detail={"sha256": "ab"}),
    "a_fact_that_is_too_large": body(detail={"plan_digest": "a" * 65}),
    "an_event_that_is_too_large": body(
        event_type="migration.step_finished",
        source="😀" * 200,
        actor="😀" * 200,
        request_id="😀" * 128,
        from_revision="😀" * 500,
        to_revision="😀" * 500,
        service="😀" * 128,
        database="😀" * 128,
        detail={name: "x" * (LIMITS[name] - 2) for name in ("after", "applied", "error", "planned", "target")},
    ),
}
NOT_STORABLE = {
    "nul": body(actor="a\0b"),
    "nul_deep_inside": asking(["\0"]),
    "not_a_number": asking(float("nan")),
    "infinity": asking(1).replace(b'"reason": 1', b'"reason": 1e999'),
    "number_out_of_range": body(duration_ms=2**63),
}


@pytest.mark.parametrize("sent", NOT_UNDERSTOOD.values(), ids=NOT_UNDERSTOOD.keys())
async def test_a_body_that_is_not_understood_is_refused_and_leaves_nothing(
    door: httpx.AsyncClient, sent: bytes
) -> None:
    answer = await door.post("/audit/events", content=sent)
    assert (answer.status_code, answer.json()["code"], answer.json()["retryable"]) == (422, "CM-603", False)
    assert (await door.get("/audit/events")).json()["events"] == []


@pytest.mark.parametrize("sent", NOT_STORABLE.values(), ids=NOT_STORABLE.keys())
async def test_a_body_that_cannot_be_stored_is_refused_and_leaves_nothing(door: httpx.AsyncClient, sent: bytes) -> None:
    answer = await door.post("/audit/events", content=sent)
    assert (answer.status_code, answer.json()["code"], answer.json()["retryable"]) == (400, "CM-104", False)
    assert (await door.get("/audit/events")).json()["events"] == []


@pytest.mark.parametrize(
    "sent",
    [
        body(actor="somebody").replace(b'"actor"', b'"actor": "mallory", "actor"'),
        asking("why").replace(b'"reason"', b'"reason": "another", "reason"'),
        body().replace(b'{"events"', b'{"events": [], "events"'),
    ],
    ids=["in an event", "in its detail", "around the events"],
)
async def test_a_key_twice_is_refused_because_readers_would_differ(door: httpx.AsyncClient, sent: bytes) -> None:
    answer = await door.post("/audit/events", content=sent)
    assert (answer.status_code, answer.json()["code"], answer.json()["retryable"]) == (400, "CM-105", False)
    assert (await door.get("/audit/events")).json()["events"] == []


async def test_control_characters_of_an_error_text_are_kept(door: httpx.AsyncClient) -> None:
    text = "line one\r\n\x1b[31mline two\x7f"
    assert (await door.post("/audit/events", content=asking(text))).json()["stored"] == 1
    [shown] = (await door.get("/audit/events")).json()["events"]
    assert shown["detail"] == {"reason": text}


async def test_reading_a_body_stops_at_one_mebibyte(door: httpx.AsyncClient) -> None:
    """Sent in chunks, without a Content-Length."""
    chunks_read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal chunks_read
        while chunks_read < 1000:
            chunks_read += 1
            yield b" " * 65536

    answer = await door.post("/audit/events", content=endless())
    assert (answer.status_code, answer.json()["code"]) == (413, "CM-106")
    assert chunks_read == 17


async def test_before_its_own_migration_the_audit_says_to_come_back(database: Database) -> None:
    async with doors(database.url) as door:
        for answer in (await send(door, event()), await door.get("/audit/events")):
            problem = answer.json()
            assert (answer.status_code, problem["code"], problem["retryable"]) == (503, "CM-522", True)


async def test_a_database_that_is_away_is_told_apart_from_one_that_is_not_ready(database: Database) -> None:
    async with doors(database.url + "_gone") as door:
        answer = await send(door, event())
    assert (answer.status_code, answer.json()["code"]) == (503, "CM-511")
