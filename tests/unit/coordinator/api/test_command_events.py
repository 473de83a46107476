"""A command by event: signed or refused, once however often it is delivered, and never lost without a record."""

import json
from typing import Any

import pytest

from coordinator.api.events.command_events import CommandDoor, handle_command
from coordinator.api.requesters import EventRequesters
from coordinator.domain.permissions import UNVERIFIED_EVENT, Proof, Requester
from coordinator.runs.steering import Steering
from tests.unit.coordinator.driver.test_verbs import asked, stored
from tests.unit.coordinator.fakes import Life, World

OPERATOR = Requester(Proof.SIGNED_EVENT, "operator", "k")


def door_of(life: Life, requester: Requester, monkeypatch: pytest.MonkeyPatch) -> CommandDoor:
    requesters = EventRequesters(None, checked=False, unsigned_are_taken=False)  # type: ignore[arg-type]
    monkeypatch.setattr(EventRequesters, "identify", lambda *_: requester)
    steering = Steering(life.runs, life.acceptance, life.intake.permissions, life.world.catalog, life.world.clock)
    return CommandDoor(steering, life.intake, requesters)


def event(**data: Any) -> bytes:
    envelope = {"specversion": "1.0", "id": "e-1", "source": "ann", "type": "migrate.command", "data": data}
    return json.dumps(envelope).encode()


async def test_a_signed_command_is_carried_out_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    life = world.life()
    await life.acceptance.accept(asked())
    door = door_of(life, OPERATOR, monkeypatch)
    for _ in range(2):
        assert await handle_command(event(request_id="r-1", verb="pause", reason="why"), door) == "SUCCESS"
    run = await stored(world)
    assert (run.state.value, len(run.commands)) == ("paused", 1)


async def test_a_command_that_nobody_signed_is_refused_also_where_the_broker_is_trusted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = world.life()
    await life.acceptance.accept(asked())
    door = door_of(life, UNVERIFIED_EVENT, monkeypatch)
    assert await handle_command(event(request_id="r-1", verb="cancel", reason="why"), door) == "DROP"
    assert (await stored(world)).state.value == "accepted"
    assert ("migration.rejected", None) in world.audit.told("r-1")


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"request_id": "r-1"},
        {"request_id": "r-1", "verb": "pause"},
        {"request_id": "r-1", "verb": "explode", "reason": "why"},
        {"request_id": "../r", "verb": "pause", "reason": "why"},
        {"request_id": "r-1", "verb": "pause", "reason": "why", "state": "succeeded"},
        {"request_id": "unknown", "verb": "pause", "reason": "why"},
        {"request_id": "r-1", "verb": "approve", "reason": "why"},
    ],
    ids=str,
)
async def test_what_is_no_command_is_on_record_and_not_delivered_again(
    world: World, monkeypatch: pytest.MonkeyPatch, data: dict[str, Any]
) -> None:
    life = world.life()
    await life.acceptance.accept(asked())
    assert await handle_command(event(**data), door_of(life, OPERATOR, monkeypatch)) == "DROP"
    assert [kind for kind, _ in world.audit.told()].count("migration.rejected") == 1
    assert (await stored(world)).state.value == "accepted"


async def test_a_command_that_cannot_be_stored_now_comes_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    life = world.life()
    await life.acceptance.accept(asked())
    world.documents.down = True
    door = door_of(life, OPERATOR, monkeypatch)
    assert await handle_command(event(request_id="r-1", verb="pause", reason="why"), door) == "RETRY"
