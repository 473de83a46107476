"""GET /migrations/journal: every row as the relay sends it, page by page, with where the database is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from migration_sidecar.api.app import make_app
from migration_sidecar.contract.journal import JournalEntry, JournalPage
from migration_sidecar.engine.journal_relay import audit_event
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import SharedProcesses
from tests.integration.migration_sidecar.environments import Environment, until
from tests.integration.migration_sidecar.hostile_rows import BY_HAND, write_by_hand
from tests.integration.migration_sidecar.test_records_of_version_0_1 import KEPT, VERSION_0_1

DOOR = "/migrations/journal"


@pytest.fixture
async def door(
    environment: Environment, shared_processes: SharedProcesses, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setattr("migration_sidecar.engine.engine.ForkserverClient", lambda *_: shared_processes)
    app = make_app(environment.ini, settings=environment.settings(MIGRATE_ON_STARTUP="off"))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=40) as client,
    ):
        client.__dict__["app"] = app
        yield client


async def migrate(door: httpx.AsyncClient, operation_id: str = "run-1:orders") -> None:
    wanted = {"operation_id": operation_id, "target": "head", "request_id": "run-1", "requested_by": "ada"}
    assert (await door.post("/migrations/operations", json=wanted)).status_code == 202

    async def ended() -> bool:
        answer = await door.get(f"/migrations/operations/{operation_id}", params={"wait_seconds": 10})
        return bool(answer.json()["state"] in ("succeeded", "failed"))

    await until(ended)


async def page(door: httpx.AsyncClient, **query: Any) -> JournalPage:
    return JournalPage.model_validate_json((await door.get(DOOR, params=query)).content)


async def entries(door: httpx.AsyncClient, limit: int) -> list[JournalEntry]:
    found: list[JournalEntry] = []
    after: int | None = 0
    while after is not None:
        one = await page(door, after=after, limit=limit)
        assert len(one.entries) <= limit
        found, after = [*found, *one.entries], one.next_after
    return found


async def test_a_database_that_nobody_migrated_has_an_empty_journal(door: httpx.AsyncClient) -> None:
    found = await page(door)
    assert (found.entries, found.next_after) == ([], None)
    assert [(one.history, one.revisions) for one in found.positions] == [("alembic_version", [])]


async def test_each_row_comes_as_the_relay_sends_it_with_where_it_led(
    door: httpx.AsyncClient, environment: Environment
) -> None:
    environment.revision("a1")
    environment.revision("a2", 'op.execute("SELECT 1/0")')
    await migrate(door)
    found = await page(door)
    app = door.__dict__["app"]
    engine = app.state.engine
    async with engine.database.connection() as connection:
        rows = await (await engine.target_database.records()).journal.unrelayed(connection, 100, [])

    assert [one.kind for one in found.entries] == ["attempt", "started", "applied", "failed"]
    sent = [audit_event(row, "orders", engine.target_database.database) for row in rows if row["kind"] != "started"]
    assert [one.event for one in found.entries if one.event] == sent
    assert [(one.before, one.heads) for one in found.entries if one.kind == "applied"] == [([], ["a1"])]
    assert {one.operation_state for one in found.entries} == {"failed"}
    assert [one.revisions for one in found.positions] == [["a1"]]


async def test_pages_of_any_size_tell_the_same_once_each(door: httpx.AsyncClient, environment: Environment) -> None:
    for number in range(1, 6):
        environment.revision(f"a{number}")
    await migrate(door)
    whole = [one.seq for one in await entries(door, 1000)]
    assert len(whole) == 11
    for limit in (1, 2, 11):
        assert [one.seq for one in await entries(door, limit)] == whole


async def test_a_journal_of_version_0_1_is_read_as_it_is_and_stays_as_it_is(
    door: httpx.AsyncClient, database: Database
) -> None:
    with database.connect() as connection:
        connection.execute(VERSION_0_1)
        connection.execute(KEPT, ("op-1", "op-1"))
    found = await page(door)
    assert [(one.kind, one.history, one.heads) for one in found.entries] == [
        ("attempt", "alembic_version", None),
        ("applied", "alembic_version", None),
    ]
    assert [one.revisions for one in found.positions] == [["a"]]


async def test_a_row_that_cannot_be_read_hides_no_other(
    door: httpx.AsyncClient, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    await migrate(door)
    with database.connect() as connection:
        connection.execute("UPDATE migration_sidecar.journal SET detail = '[]' WHERE kind = 'applied'")
    found = await page(door)
    assert [(one.kind, one.is_sent, one.event is None) for one in found.entries] == [
        ("attempt", True, False),
        ("started", False, True),
        ("applied", True, True),
    ]


@pytest.mark.parametrize(
    "query", ["after=-1", "after=9223372036854775808", "after=x", "limit=0", "limit=1001", "from=1"]
)
async def test_a_question_that_makes_no_sense_is_refused_with_a_sentence(door: httpx.AsyncClient, query: str) -> None:
    answer = await door.get(f"{DOOR}?{query}")
    assert answer.status_code in (400, 422)
    assert answer.json()["code"] == "CM-603"


async def test_rows_that_nobody_can_read_are_shown_as_such_among_the_others(
    door: httpx.AsyncClient, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    await migrate(door)
    hostile = write_by_hand(database)
    environment.revision("a2")
    await migrate(door, "run-2:orders")
    for limit in (1, 3, 1000):
        found = await entries(door, limit)
        assert [one.seq for one in found if one.is_sent and one.event is None] == [*range(1000, 1000 + hostile)]
        assert [one.kind for one in found if one.seq < 1000] == ["attempt", "started", "applied"] * 2
    engine = door.__dict__["app"].state.engine
    async with engine.database.connection() as connection:
        backlog = await (await engine.target_database.records()).journal.backlog(connection)
    assert backlog.events == hostile + 4, "what cannot be read still waits"
    assert (await door.get("/migrations")).json()["state"] == "at_head"
    assert (await door.get("/readyz")).status_code == 200


async def test_rows_that_share_a_number_end_no_page_and_hide_no_other(
    door: httpx.AsyncClient, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    await migrate(door)
    with database.connect() as connection:
        for number in (1000, 1000, 1000, 1001):
            connection.execute(BY_HAND, (number, "cancelled", "2026-01-01", "{}"))
    for limit in (1, 2, 3, 4, 5, 1000):
        found = [(one.seq, one.event is None) for one in await entries(door, limit) if one.seq >= 1000]
        assert found == [(1000, True), (1001, False)]


async def test_a_stored_operation_that_nobody_can_read_does_not_keep_the_service_from_starting(
    door: httpx.AsyncClient, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    await migrate(door)
    with database.connect() as connection:
        connection.execute(
            "INSERT INTO migration_sidecar.operations (operation_id, body_digest, request, state, record, accepted_at)"
            " VALUES ('by-hand', 'x', '[]', 'accepted', '{}', '0044-01-01 BC'), "
            "('by-hand-too', 'x', '{}', 'running', '1', 'infinity')"
        )
    await door.__dict__["app"].state.engine.operations.resume("heads")
    assert (await door.get("/migrations")).json()["state"] == "at_head"
    environment.revision("a2")
    await migrate(door, "run-2:orders")
