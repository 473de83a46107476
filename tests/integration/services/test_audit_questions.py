"""GET /audit/events with its filters, GET /audit/events/{event} and GET /audit/runs/{request_id}."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.integration.databases import Database
from tests.integration.services.test_audit_doors import doors, event, send

NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
async def door(audit: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with doors(audit.url) as door:
        yield door


async def ask(door: httpx.AsyncClient, **parameters: Any) -> list[int]:
    answer = await door.get("/audit/events", params=parameters)
    return [each["seq"] for each in answer.raise_for_status().json()["events"]]


ASKED: list[tuple[dict[str, str], dict[str, Any]]] = [
    ({"request_id": "release-41"}, {"request_id": "release-41"}),
    ({"service": "cds-task"}, {"service": "cds-task"}),
    ({"database": "cds_task"}, {"database": "cds_task"}),
    ({"actor": "ada@build"}, {"actor": "ada@build"}),
    ({"outcome": "failed"}, {"outcome": "failed"}),
    ({"revision": "task_0004"}, {"event_type": "revision.applied", "detail": {"revision": "task_0004"}}),
    ({"type": "attempt.failed"}, {"event_type": "attempt.failed"}),
    ({"type": "revision.applied,attempt.failed"}, {"event_type": "attempt.failed"}),
    ({"type": "attempt.*"}, {"event_type": "attempt.failed"}),
    ({"type": "attempt.*,revision.*"}, {"event_type": "revision.reverted"}),
    ({"service": "cds-task", "type": "attempt.*"}, {"service": "cds-task", "event_type": "attempt.refused"}),
]


@pytest.mark.parametrize(("parameters", "facts"), ASKED, ids=[" ".join(asked) for asked, _ in ASKED])
async def test_only_what_was_asked_for_is_shown(
    door: httpx.AsyncClient, parameters: dict[str, str], facts: dict[str, Any]
) -> None:
    await send(door, event(), event(**facts), event(event_type="migration.finished", service="cds-other"))
    assert await ask(door, **parameters) == [2]


async def test_a_type_that_never_happened_finds_nothing(door: httpx.AsyncClient) -> None:
    await send(door, event())
    assert await ask(door, type="nothing.*") == []
    assert await ask(door, type="nothing.happened") == []


async def test_a_type_asked_for_twice_shows_its_events_once(door: httpx.AsyncClient) -> None:
    await send(door, event())
    assert await ask(door, type="migration.started,migration.*,migration.started") == [1]


@pytest.mark.parametrize("filters", [{}, {"type": "migration.*,attempt.failed"}, {"service": "cds-task"}])
async def test_the_newest_come_first_when_asked_and_pages_still_miss_none(
    door: httpx.AsyncClient, filters: dict[str, str]
) -> None:
    kinds = ["migration.started", "attempt.failed", "migration.finished"]
    await send(door, *(event(service="cds-task", event_type=kinds[number % 3]) for number in range(10)))
    seen: list[int] = []
    cursor: dict[str, str] = {}
    while True:
        query = {"order": "newest", "limit": "3", **filters, **cursor}
        page = (await door.get("/audit/events", params=query)).raise_for_status().json()
        seen += [each["seq"] for each in page["events"]]
        await send(door, event(service="cds-task"))
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == list(range(10, 0, -1))


async def test_a_cursor_of_one_order_is_none_of_the_other(door: httpx.AsyncClient) -> None:
    await send(door, event(), event())
    cursor = (await door.get("/audit/events", params={"limit": 1})).json()["next_cursor"]
    answer = await door.get("/audit/events", params={"order": "newest", "cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (422, "CM-603")


async def test_from_and_to_are_about_when_the_audit_recorded(door: httpx.AsyncClient) -> None:
    """Whatever the sources' clocks say: here they say one moment of 2026-01-02 for everything."""
    for _ in range(7):
        await send(door, event())
    times = [each["recorded_at"] for each in (await door.get("/audit/events")).json()["events"]]
    assert await ask(door, **{"from": times[2]}) == [3, 4, 5, 6, 7]
    assert await ask(door, to=times[2]) == [1, 2]
    assert await ask(door, **{"from": times[1], "to": times[5], "order": "newest"}) == [5, 4, 3, 2]
    assert await ask(door, **{"from": "2099-01-01T00:00:00Z"}) == []
    assert await ask(door, **{"from": "2016-01-01T00:00:00+02:00", "to": "2099-01-01T00:00:00Z"}) == [*range(1, 8)]


async def test_an_audit_without_events_answers_every_question_with_none(door: httpx.AsyncClient) -> None:
    query = {"type": "revision.*", "from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z", "order": "newest"}
    assert await ask(door, **query) == []


FORGED_CURSORS = [
    b"oldest:-1",
    b"oldest:01",
    b"oldest: 1",
    b"oldest:1_0",
    b"oldest:9223372036854775808",
    b"oldest:\xc2\xb2",
]
BAD = [
    "from=yesterday", "from=2026-01-01", "from=1767225600", "from=2026-01-01T00:00:00", "to=2026-13-01T00:00:00Z",
    "from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", "from=2026-01-01T00:00:00Z&to=2026-01-01T00:00:00Z",
    *(f"cursor={urlsafe_b64encode(text).decode().rstrip('=')}" for text in FORGED_CURSORS),
    "since=2026-01-01T00:00:00Z", "until=2026-01-01T00:00:00Z", "order=1;drop", "order=", "order=NEWEST",
    "type=", "type=revision.", "type=*", "type=revision.*.*", "type=revision%25", "type=%27;drop", "type=A.b",
    "type=a.b,", f"type={','.join(['a.b'] * 21)}", f"type={'(a.b)*' * 200}", "event_type=a.b", "types=a.b",
    "actor=", f"actor={'x' * 201}", f"outcome={'x' * 129}", "revision=", "limit=1e3", "limit=-1", "limit=0x10",
    "service=a&service=b", "sql=1", "offset=5", "request_id[]=a", "detail=x", "detail.revision=x",
]  # fmt: skip


@pytest.mark.parametrize("query", BAD)
async def test_a_hostile_or_misspelt_question_is_refused(door: httpx.AsyncClient, query: str) -> None:
    answer = await door.get(f"/audit/events?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "CM-603")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("name", ["request_id", "service", "database", "actor", "outcome", "revision"])
async def test_sql_in_a_filter_is_a_name_that_nobody_has(door: httpx.AsyncClient, name: str) -> None:
    await send(door, event())
    assert await ask(door, **{name: "x' OR '1'='1'; DROP TABLE audit_events; --"}) == []
    assert await ask(door, **{name: "%"}) == []
    assert await ask(door) == [1]


async def test_a_question_asked_as_a_reader_cannot_write(audit: Database, door: httpx.AsyncClient) -> None:
    """The service's login is a superuser here, and its questions are asked in a role that only reads."""
    with audit.connect() as connection:
        connection.execute("REVOKE SELECT ON audit.events FROM cas_reader")
    answer = await door.get("/audit/events")
    assert answer.status_code == 503


async def test_an_event_is_found_by_its_number_and_by_its_id(door: httpx.AsyncClient) -> None:
    first, second = event(), event(event_type="revision.applied", detail={"revision": "task_0004"})
    await send(door, first, second)
    by_number = (await door.get("/audit/events/2")).raise_for_status().json()
    by_id = (await door.get(f"/audit/events/{second['event_id']}")).raise_for_status().json()
    before = (await door.get("/audit/events/1")).json()
    assert by_number == by_id
    assert (by_number["seq"], by_number["detail"]) == (2, {"revision": "task_0004"})
    assert by_number["prev_hash"] == before["hash"]


@pytest.mark.parametrize("name", ["3", NOBODY])
async def test_an_event_that_is_not_there_is_not_found(door: httpx.AsyncClient, name: str) -> None:
    await send(door, event())
    answer = await door.get(f"/audit/events/{name}")
    assert (answer.status_code, answer.json()["code"]) == (404, "CM-604")


@pytest.mark.parametrize("name", ["0", "-1", "1.5", "9" * 19, "1'", "x", f"{NOBODY}x", "%C2%B2", "1?x=1"])
async def test_what_names_no_event_is_refused(door: httpx.AsyncClient, name: str) -> None:
    await send(door, event())
    answer = await door.get(f"/audit/events/{name}")
    assert (answer.status_code, answer.json()["code"]) == (422, "CM-603")


@pytest.mark.parametrize("order", ["oldest", "newest"])
@pytest.mark.parametrize("near", [3, 10, 1000])
@pytest.mark.parametrize("kind", ["revision.applied", "revision.*"])
async def test_pages_of_what_several_filters_have_in_common_are_whole_wherever_it_lies(
    door: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, near: int, order: str, kind: str
) -> None:
    """Frequent at the beginning, rare in the middle, absent at the end."""
    monkeypatch.setattr("services.cas_service.events.query.NEAR_SPAN", near)
    wanted = [number < 12 or number == 25 for number in range(40)]
    facts = {True: ("revision.applied", "cds-task"), False: ("revision.applied", "cds-client")}
    sent = [event(event_type=facts[each][0], service=facts[each][1]) for each in wanted]
    await send(door, *sent, event(event_type="migration.started", service="cds-task"))
    query, seen, cursor = {"type": kind, "service": "cds-task", "order": order, "limit": "5"}, [], None
    while True:
        page = (await door.get("/audit/events", params=query | ({"cursor": cursor} if cursor else {}))).json()
        seen += [each["event_id"] for each in page["events"]]
        if (cursor := page["next_cursor"]) is None:
            break
    expected = [each["event_id"] for each, is_wanted in zip(sent, wanted, strict=True) if is_wanted]
    assert seen == (expected if order == "oldest" else expected[::-1])


async def test_the_story_of_a_run_is_told_in_the_order_it_happened(door: httpx.AsyncClient) -> None:
    """The journals of the services arrive later than the coordinator's word that their step is done."""
    told = [
        ("migration.requested", 0, {"actor": "ada"}),
        ("migration.step_finished", 4, {"service": "cds-task", "outcome": "failed"}),
        ("migration.finished", 5, {"outcome": "failed"}),
        ("attempt.started", 2, {"service": "cds-task", "source": "cds-task/journal"}),
        ("attempt.failed", 3, {"service": "cds-task", "source": "cds-task/journal"}),
        ("migration.step_started", 1, {"service": "cds-task"}),
    ]
    for kind, second, facts in told:
        moment = f"2026-01-02T03:04:0{second}Z"
        await send(door, event(event_type=kind, occurred_at=moment, request_id="release-41", **facts), event())
    story = (await door.get("/audit/runs/release-41")).raise_for_status().json()
    assert [each["event_type"] for each in story["events"]] == [
        "migration.requested",
        "migration.step_started",
        "attempt.started",
        "attempt.failed",
        "migration.step_finished",
        "migration.finished",
    ]
    facts = {name: value for name, value in story.items() if name != "events"}
    assert facts == {
        "request_id": "release-41",
        "actor": "ada",
        "outcome": "failed",
        "asked_at": "2026-01-02T03:04:00Z",
        "finished_at": "2026-01-02T03:04:05Z",
        "services": ["cds-task"],
        "more": False,
    }


async def test_a_story_under_way_has_no_end_yet(door: httpx.AsyncClient) -> None:
    await send(door, event(request_id="release-41"))
    story = (await door.get("/audit/runs/release-41")).json()
    assert (story["actor"], story["outcome"], story["finished_at"], story["services"]) == (None, None, None, [])


async def test_a_story_too_long_for_one_answer_says_so(
    door: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.cas_service.events.reader.STORY_EVENTS", 2)
    await send(door, *(event(request_id="release-41") for _ in range(3)))
    story = (await door.get("/audit/runs/release-41")).json()
    assert ([each["seq"] for each in story["events"]], story["more"]) == ([1, 2], True)


@pytest.mark.parametrize("name", ["release-42", "'; DROP TABLE audit_events; --", "%25"])
async def test_a_run_that_the_audit_knows_nothing_of_is_not_found(door: httpx.AsyncClient, name: str) -> None:
    await send(door, event(request_id="release-41"))
    answer = await door.get(f"/audit/runs/{name}")
    assert (answer.status_code, answer.json()["code"], answer.json()["retryable"]) == (404, "CM-604", False)


@pytest.mark.parametrize(("name", "status"), [("x" * 129, 422), ("a%00b", 400), ("release-41?events=1", 422)])
async def test_what_names_no_run_is_refused(door: httpx.AsyncClient, name: str, status: int) -> None:
    assert (await door.get(f"/audit/runs/{name}")).status_code == status
