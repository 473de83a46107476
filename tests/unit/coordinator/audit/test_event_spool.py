"""What the audit learns that no run carries: refusals at both doors, verbs that are not built, drift."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from coordinator.audit.rejections import RateLimit, Rejections
from coordinator.domain import audit_events
from coordinator.errors import NotJson
from migration_sidecar.contract.messages import AuditEvent, DatabaseState, Problem
from tests.unit.coordinator.at_the_doors import client_of
from tests.unit.coordinator.fakes import START, Life, World


@pytest.fixture
def life(world: World) -> Life:
    return world.life()


@pytest.fixture
async def client(world: World, life: Life) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(world, life) as client:
        yield client


def told(world: World, event_type: str = "migration.rejected") -> list[AuditEvent]:
    return [event for event in world.audit.events.values() if event.event_type == event_type]


@pytest.mark.parametrize("verb", ["approve", "reject", "pause", "resume", "cancel", "retry"])
async def test_a_verb_that_is_refused_is_on_record_with_its_run(
    client: httpx.AsyncClient, world: World, verb: str
) -> None:
    for _ in range(3):
        answer = await client.post(f"/migrations/r-1/{verb}", json={"by": "mallory", "why": "please"})
        assert (answer.status_code, answer.json()["code"]) == (422, "CM-603")
    (event,) = told(world)
    assert (event.request_id, event.detail["verb"], event.actor) == ("r-1", verb, None)


@pytest.mark.parametrize(("path", "status"), [("/migrations/r-1/destroy", 404), ("/migrations/a%20b/approve", 400)])
async def test_an_address_that_never_meant_anything_leaves_no_record(
    client: httpx.AsyncClient, world: World, path: str, status: int
) -> None:
    assert (await client.post(path)).status_code == status
    assert world.audit.events == {}


async def test_a_refusal_delivered_again_to_another_process_is_a_repeat_and_no_conflict(world: World) -> None:
    for _ in range(3):
        life = world.life()
        await life.intake.refuse(("event", "s", "1"), NotJson("it is not."), None)
    assert (len(told(world)), world.audit.conflicts) == (1, [])


async def test_a_refusal_that_waits_for_the_audit_is_the_first_one_that_was_told(world: World) -> None:
    world.audit.down = True
    for _ in range(3):
        await world.life().intake.refuse(("event", "s", "1"), NotJson("it is not."), None)
    world.audit.down = False
    assert await world.life().rejections.flush() == 1
    await world.life().intake.refuse(("event", "s", "1"), NotJson("it is not."), None)
    assert (len(told(world)), world.audit.conflicts) == (1, [])


async def test_a_flood_of_different_refusals_becomes_one_count(world: World) -> None:
    life = world.life()
    rejections = Rejections(life.spool, world.topic, world.clock, RateLimit(burst=5))
    for number in range(500):
        problem = NotJson(f"{number} is not.").problem()
        await rejections.record(
            audit_events.rejection_event(("event", "s", str(number)), START, problem, request_id=None)
        )
    assert len(told(world)) == 5
    await rejections.flush()
    await rejections.flush()
    (counted,) = told(world, "migration.rejections_counted")
    assert (counted.detail["count"], counted.detail["codes"]) == (495, {"CM-101": 495})


async def test_a_count_is_not_lost_while_state_is_away(world: World) -> None:
    life = world.life()
    rejections = Rejections(life.spool, world.topic, world.clock, RateLimit(burst=0))
    await rejections.record(
        audit_events.rejection_event(("event", "s", "1"), START, NotJson("it is not.").problem(), request_id=None)
    )
    world.documents.down = True
    with pytest.raises(Exception, match="down in this test"):
        await rejections.flush()
    world.documents.down = False
    await rejections.flush()
    assert [event.detail["count"] for event in told(world, "migration.rejections_counted")] == [1]


def drifted(world: World, state: DatabaseState) -> None:
    service = world.fleet.services["first"]
    service.state, service.current = state, ["x9"]


@pytest.mark.parametrize("state", ["ahead", "foreign", "unmanaged", "unknown"])
async def test_drift_is_on_record_once_however_often_and_by_whomever_it_is_seen(
    client: httpx.AsyncClient, world: World, life: Life, state: str
) -> None:
    drifted(world, DatabaseState(state))
    for _ in range(3):
        assert (await client.get("/fleet")).status_code == 200
        await life.drift.wait_recorded()
    other = world.life()
    other.drift.record(await world.fleet.status(world.fleet.services["first"].address))
    await other.drift.wait_recorded()
    (event,) = told(world, "drift.found")
    assert (event.service, event.database, event.outcome, event.to_revision) == ("first", "first_db", state, "x9")
    assert world.audit.conflicts == []


async def test_another_place_is_another_finding_and_a_database_in_order_is_none(
    client: httpx.AsyncClient, world: World, life: Life
) -> None:
    for current in (["x9"], ["x9"], ["x8"]):
        drifted(world, DatabaseState.AHEAD)
        world.fleet.services["first"].current = current
        await client.get("/fleet")
        await life.drift.wait_recorded()
    assert [event.to_revision for event in told(world, "drift.found")] == ["x9", "x8"]


async def test_a_run_that_meets_drift_puts_it_on_record(client: httpx.AsyncClient, world: World, life: Life) -> None:
    drifted(world, DatabaseState.AHEAD)
    obstacle = Problem(code="CM-551", title="t", detail="d", next_step="n")
    world.fleet.services["first"].obstacles = [obstacle]
    world.fleet.services["first"].current = ["r1"]
    await client.post("/migrations", json={"services": ["first"], "request_id": "r-1"})
    await life.drive()
    await life.drift.wait_recorded()
    assert [event.service for event in told(world, "drift.found")] == ["first"]


CANARY = "c4n4ry p%40ss:w/rd@'\""


def everywhere(**body: Any) -> dict[str, Any]:
    return {"services": "all", "request_id": "r-1", **body}


async def test_what_a_sender_puts_where_nothing_is_known_never_enters(
    client: httpx.AsyncClient, world: World, life: Life
) -> None:
    """The names of fields may stand in an answer; what was written into them is no business of the audit."""
    for body in (
        everywhere(password=CANARY),
        everywhere(dry_run=CANARY),
        everywhere(max_parallel=CANARY),
        everywhere(requested_by=[CANARY]),
        everywhere(reason={"secret": CANARY}),
        [CANARY],
        CANARY,
    ):
        assert (await client.post("/migrations", json=body)).status_code in (400, 422)
        envelope = {"specversion": "1.0", "id": "e", "source": "s", "type": "t", "data": body}
        await client.post("/events/migrate-requested", json=envelope)
    await client.post("/migrations", content=CANARY.encode())
    assert told(world)
    assert not [event for event in world.audit.events.values() if "c4n4ry" in event.model_dump_json()]


async def test_an_audit_that_is_away_shows_in_the_fleet_with_since_when_and_how_much_waits(
    client: httpx.AsyncClient, world: World, life: Life
) -> None:
    assert (await client.get("/fleet")).json()["audit"] == {"state": "written", "events_waiting": 0}
    world.audit.down = True
    await client.post("/migrations", json={"services": ["first"], "request_id": "r-1"})
    await client.post("/migrations", content=b"nonsense")
    await life.drive(most_timers=3)
    await life.recovery_loop.run_once()
    found = (await client.get("/fleet")).json()["audit"]
    # The request, its start, and the refusal; nothing was begun.
    assert (found["state"], found["events_waiting"]) == ("away", 3)
    assert "down in this test" in found["reason"]
    first, _ = found["since"], await life.drive(most_timers=6)
    assert (await client.get("/fleet")).json()["audit"]["since"] == first
    world.audit.down = False
    await life.drive()
    await life.rejections.flush()
    await life.recovery_loop.run_once()
    assert (await client.get("/fleet")).json()["audit"] == {"state": "written", "events_waiting": 0}
