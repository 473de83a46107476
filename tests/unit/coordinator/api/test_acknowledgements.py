"""Who may answer for a gap of `audit reconcile`, and what the audit then says."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from migration_sidecar.contract.messages import AuditEvent
from tests.unit.coordinator.api.test_who_may_call import OPERATORS, Door, Open, open_door
from tests.unit.coordinator.at_the_doors import client_of
from tests.unit.coordinator.fakes import START, World

__all__ = ["open_door"]

PATH = "/audit/acknowledgements"
CHIEF = '[[operators]]\nname = "chief"\nmay = ["admin"]\n'
LOCAL = '[[operators]]\nname = "local"\nmay = ["admin"]\nservices = ["first"]\n'
ASKED = {"seq": 1, "reason": "a test of the relay, INC-7"}


def record(world: World, *event_types: str) -> None:
    """The numbers of the audit in memory begin at 0."""
    for event_type in ("drift.found", *event_types):
        facts: dict[str, Any] = {"event_id": uuid4(), "event_type": event_type, "source": "cas-audit"}
        event = AuditEvent(**facts, occurred_at=START, request_id="r-1")
        world.audit.events[event.event_id] = event


@pytest.fixture
def door(open_door: Open) -> Door:
    door = open_door(OPERATORS + CHIEF + LOCAL)
    record(door.world, "audit.conflict", "migration.finished", "revision.applied")
    return door


def told(door: Door) -> list[AuditEvent]:
    return [each for each in door.world.audit.events.values() if each.event_type == "gap.acknowledged"]


@pytest.mark.parametrize(("seq", "gap"), [(1, "contested"), (2, "unsigned_record")])
async def test_an_operator_who_may_admin_answers_for_a_gap_in_his_name(door: Door, seq: int, gap: str) -> None:
    answer = await door.call("chief", "POST", PATH, ASKED | {"seq": seq})
    assert answer.status_code == 202
    [event] = told(door)
    assert answer.json()["event_id"] == str(event.event_id)
    assert (event.actor, event.request_id, event.source) == ("chief", "r-1", "migration-coordinator")
    assert event.detail == {
        "actor_basis": f"signed call, key {door.key('chief').key_id}",
        "gap": gap,
        "about_seq": seq,
        "reason": "a test of the relay, INC-7",
    }


@pytest.mark.parametrize("name", ["ada", "clerk", "pipeline", "local", "first", "stranger"])
async def test_whoever_may_not_is_refused_by_name_and_the_refusal_is_recorded(door: Door, name: str) -> None:
    answer = await door.call(name, "POST", PATH, ASKED)
    assert (answer.status_code, answer.json()["code"]) == (403, "CM-109")
    [refusal] = door.refusals()
    assert (refusal.actor, refusal.detail["verb"], refusal.detail["code"]) == (name, "acknowledge", "CM-109")
    assert told(door) == []


async def test_nobody_answers_without_a_signature_nor_where_signatures_are_off(door: Door) -> None:
    answer = await door.call(None, "POST", PATH, ASKED)
    assert (answer.status_code, answer.json()["code"]) == (401, "CM-108")
    world = World()
    record(world, "audit.conflict")
    answer = await client_of(world, world.life()).post(PATH, json=ASKED)
    assert (answer.status_code, answer.json()["code"]) == (403, "CM-109")
    assert "not known by name" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (ASKED | {"seq": 3}, 422, "CM-603"),
        (ASKED | {"seq": 99}, 404, "CM-604"),
        (ASKED | {"seq": "1"}, 422, "CM-603"),
        (ASKED | {"seq": 0}, 422, "CM-603"),
        (ASKED | {"reason": ""}, 422, "CM-603"),
        (ASKED | {"reason": "a\x00b"}, 400, "CM-104"),
        (ASKED | {"reason": "x" * 2001}, 422, "CM-603"),
        (ASKED | {"gap": "contested"}, 422, "CM-603"),
        ({"seq": 1}, 422, "CM-603"),
        ([], 400, "CM-101"),
    ],
)
async def test_what_is_no_acknowledgement_is_refused(door: Door, body: Any, status: int, code: str) -> None:
    answer = await door.call("chief", "POST", PATH, body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert told(door) == []


async def test_while_the_audit_cannot_be_asked_nobody_answers_for_anything(door: Door) -> None:
    door.world.audit.down = True
    answer = await door.call("chief", "POST", PATH, ASKED)
    assert (answer.status_code, told(door)) == (503, [])
