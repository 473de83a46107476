"""The coordinator's own doors: nobody asks for a migration whose key is not known, and nobody more than he may."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from coordinator.adapters.operator_keys import OperatorKeys
from coordinator.api.subscriptions import TOPIC
from coordinator.domain.audit_events import SOURCE as COORDINATOR
from coordinator.domain.catalog_file import read_catalog
from migration_sidecar.contract.messages import AuditEvent
from signed_calls.events import LONGEST_SECONDS, signed_event
from signed_calls.key_folder import make_key, public_folder
from signed_calls.keys import PublicKeys, SigningKey
from signed_calls.settings import CallSettings
from signed_calls.signature import Call
from tests.unit.coordinator.at_the_doors import app_of, client_for
from tests.unit.coordinator.fakes import CATALOG, Life, World

OPERATORS = """
[[operators]]
name = "ada"
may = ["request"]
[[operators]]
name = "clerk"
may = ["read"]
[[operators]]
name = "pipeline"
kind = "pipeline"
may = ["request", "operate"]
services = ["first"]
[[operators]]
name = "robot"
kind = "agent"
may = ["request", "operate"]
"""


@dataclass
class Door:
    """One coordinator that demands signatures, and everybody's keys."""

    world: World
    life: Life
    client: httpx.AsyncClient
    keys: Path

    def key(self, name: str) -> SigningKey:
        return make_key(self.keys, name)

    async def call(
        self, name: str | None, method: str, target: str, body: Any = None, changes: dict[str, Any] | None = None
    ) -> httpx.Response:
        content = b"" if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        if name is not None:
            headers |= self.key(name).sign(replace(Call(method, target, COORDINATOR, content), **(changes or {})))
        return await self.client.request(method, target, content=content, headers=headers)

    async def publish(self, event: dict[str, Any]) -> str:
        answer = await self.client.post("/events/migrate-requested", content=json.dumps(event).encode())
        return str(answer.json()["status"])

    def refusals(self) -> list[AuditEvent]:
        return [each for each in self.world.audit.events.values() if each.event_type == "migration.rejected"]


Open = Callable[..., Door]


@pytest.fixture
def open_door(tmp_path: Path) -> Open:
    def open_one(operators: str = OPERATORS, *, unsigned_events: bool = False, reads: bool = False) -> Door:
        world = World(catalog=read_catalog(CATALOG + operators))
        life = world.life()
        calls = CallSettings(required=True, reads_required=reads)
        keys = OperatorKeys(world.catalog.operators, PublicKeys(public_folder(tmp_path)))
        app = app_of(world, life, calls, keys, unsigned_events=unsigned_events)
        return Door(world, life, client_for(app), tmp_path)

    return open_one


COMMANDS = {
    "approve": {"reason": "because", "plan_digest": "0" * 64},
    "reject": {"reason": "because"},
    "cancel": {"reason": "because"},
}
ASKED = {"services": "all", "request_id": "r-1", "requested_by": "somebody else"}


async def test_an_operator_asks_and_the_audit_names_him_and_his_key(open_door: Open) -> None:
    door = open_door()
    assert (await door.call("ada", "POST", "/migrations", ASKED)).status_code == 202
    await door.life.drive()
    events = door.world.audit.events.values()
    assert {event.actor for event in events} == {"ada"}
    assert {event.detail["actor_basis"] for event in events} == {f"signed call, key {door.key('ada').key_id}"}
    assert {event.detail["requested_by"] for event in events} == {"somebody else"}
    assert {event.detail["actor_kind"] for event in events} == {"person"}


async def test_the_audit_says_that_an_agent_asked_and_that_one_was_refused(open_door: Open) -> None:
    door = open_door()
    assert (await door.call("robot", "POST", "/migrations", ASKED)).status_code == 202
    for verb in ("approve", "reject"):
        answer = await door.call("robot", "POST", f"/migrations/r-1/{verb}", COMMANDS[verb])
        assert (answer.status_code, answer.json()["code"]) == (403, "CM-109")
    await door.life.drive()
    events = door.world.audit.events.values()
    assert {(event.actor, event.detail["actor_kind"]) for event in events} == {("robot", "agent")}
    assert len(door.refusals()) == 2
    run = await door.life.runs.read("r-1")
    assert run is not None
    assert run.public()["actor_kind"] == "agent"


async def test_a_caller_that_is_no_operator_has_no_kind(open_door: Open) -> None:
    door = open_door()
    assert (await door.call("stranger", "POST", "/migrations", ASKED)).status_code == 403
    (refusal,) = door.refusals()
    assert (refusal.actor, "actor_kind" in refusal.detail) == ("stranger", False)


@pytest.mark.parametrize("header", ["dapr-caller-app-id", "dapr-api-token", "x-forwarded-user", "authorization"])
async def test_no_header_makes_a_caller(open_door: Open, header: str) -> None:
    door = open_door()
    answer = await door.client.post("/migrations", json=ASKED, headers={header: "ada"})
    assert (answer.status_code, answer.json()["code"]) == (401, "CM-108")
    assert (await door.call("ada", "GET", "/migrations/r-1")).status_code == 404


@pytest.mark.parametrize(
    "changes",
    [
        {"audience": "cds-task"},
        {"method": "PUT"},
        {"target": "/plans"},
        {"target": "/migrations?x"},
        {"body": b"{}"},
    ],
)
async def test_a_signature_for_something_else_is_none(open_door: Open, changes: dict[str, Any]) -> None:
    door = open_door()
    answer = await door.call("ada", "POST", "/migrations", ASKED, changes)
    assert (answer.status_code, answer.json()["code"]) == (401, "CM-108")
    (refusal,) = door.refusals()
    assert (refusal.actor, refusal.detail["code"], refusal.detail["door"]) == (None, "CM-108", "call")


async def test_the_same_signature_is_taken_once(open_door: Open) -> None:
    door = open_door()
    content = json.dumps(ASKED).encode()
    headers = {"content-type": "application/json"}
    headers |= door.key("ada").sign(Call("POST", "/migrations", COORDINATOR, content))
    answers = [await door.client.post("/migrations", content=content, headers=headers) for _ in range(2)]
    assert [each.status_code for each in answers] == [202, 401]
    assert answers[1].json()["retryable"]


async def test_the_same_call_to_another_process_is_the_same_run_also_without_an_id(
    open_door: Open, tmp_path: Path
) -> None:
    """A nonce is remembered by one process; a restart or another replica takes the call once more within a minute."""
    door = open_door()
    content = json.dumps({"services": "all"}).encode()
    headers = {"content-type": "application/json"}
    headers |= door.key("ada").sign(Call("POST", "/migrations", COORDINATOR, content))
    first = await door.client.post("/migrations", content=content, headers=headers)
    keys = OperatorKeys(door.world.catalog.operators, PublicKeys(public_folder(tmp_path)))
    replica = client_for(app_of(door.world, door.world.life(), CallSettings(required=True), keys))
    second = await replica.post("/migrations", content=content, headers=headers)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["request_id"] == second.json()["request_id"]
    assert len((await door.client.get("/migrations")).json()["runs"]) == 1


@pytest.mark.parametrize("name", ["first", COORDINATOR, "stranger", "clerk"])
async def test_whoever_is_no_operator_who_may_request_is_refused_by_name(open_door: Open, name: str) -> None:
    """The keys of applications are known here too, and give no right to ask for anything."""
    door = open_door()
    answer = await door.call(name, "POST", "/migrations", ASKED)
    assert (answer.status_code, answer.json()["code"]) == (403, "CM-109")
    (refusal,) = door.refusals()
    assert (refusal.actor, refusal.detail["code"], refusal.request_id) == (name, "CM-109", "r-1")
    assert (await door.call("ada", "GET", "/migrations/r-1")).status_code == 404


@pytest.mark.parametrize("services", ["all", ["second"], ["first", "second"]])
async def test_an_operator_asks_for_his_own_services_only(open_door: Open, services: Any) -> None:
    door = open_door()
    answer = await door.call("pipeline", "POST", "/migrations", {"services": services})
    assert (answer.status_code, answer.json()["code"]) == (403, "CM-109")
    answer = await door.call("pipeline", "POST", "/migrations", {"services": ["first"]})
    assert answer.status_code == 202


@pytest.mark.parametrize(("verb", "permitted"), [("approve", False), ("reject", False), ("cancel", True)])
async def test_a_verb_needs_its_own_permission(open_door: Open, verb: str, permitted: bool) -> None:
    door = open_door()
    answer = await door.call(None, "POST", f"/migrations/r-1/{verb}", COMMANDS[verb])
    assert answer.status_code == 401
    answer = await door.call("pipeline", "POST", f"/migrations/r-1/{verb}", COMMANDS[verb])
    assert answer.status_code == (404 if permitted else 403)
    unsigned, signed = door.refusals()
    assert (unsigned.detail["code"], signed.actor, signed.detail["verb"]) == ("CM-108", "pipeline", verb)


CONFIDENTIAL = ["/audit/events?request_id=x&type=y"]
OPEN = ["/migrations", "/fleet"]


@pytest.mark.parametrize("path", CONFIDENTIAL + OPEN)
async def test_the_audit_is_read_by_those_who_are_known_and_the_rest_where_it_is_said(
    open_door: Open, path: str
) -> None:
    for reads in (False, True):
        door = open_door(reads=reads)
        expected = 401 if reads or path in CONFIDENTIAL else 200
        assert (await door.call(None, "GET", path)).status_code == expected
        assert (await door.call("clerk", "GET", path)).status_code == 200
    assert (await door.call("second", "GET", path)).status_code == 403


async def test_a_plan_is_shown_to_those_who_may_read(open_door: Open) -> None:
    door = open_door()
    assert (await door.call(None, "POST", "/plans", {"services": "all"})).status_code == 401
    assert (await door.call("second", "POST", "/plans", {"services": "all"})).status_code == 403
    assert (await door.call("clerk", "POST", "/plans", {"services": "all"})).status_code == 200


async def test_each_refused_signature_is_on_record_and_a_repeat_of_it_once(open_door: Open) -> None:
    door = open_door()
    for _ in range(3):
        await door.call(None, "POST", "/migrations", ASKED)
        await door.call("ada", "POST", "/migrations", ASKED, {"body": b"x"})
    assert len(door.refusals()) == 1 + 3


async def test_without_operators_in_the_file_the_key_of_set_up_may_everything_and_nobody_else(open_door: Open) -> None:
    door = open_door("")
    assert (await door.call("ada", "POST", "/migrations", ASKED)).status_code == 403
    assert (await door.call("operator", "POST", "/migrations", ASKED)).status_code == 202


async def test_an_operator_with_keys_in_the_file_has_no_others(open_door: Open, tmp_path: Path) -> None:
    listed = make_key(tmp_path / "elsewhere", "ada")
    text = f'[[operators]]\nname = "ada"\nmay = ["request"]\npublic_keys = ["{listed.public_text}"]\n'
    door = open_door(text)
    assert (await door.call("ada", "POST", "/migrations", ASKED)).status_code == 401
    content = json.dumps(ASKED).encode()
    headers = listed.sign(Call("POST", "/migrations", COORDINATOR, content)) | {"content-type": "application/json"}
    assert (await door.client.post("/migrations", content=content, headers=headers)).status_code == 202


# --- events ---


def event(**data: Any) -> dict[str, Any]:
    plain = {"specversion": "1.0", "id": "e-1", "source": "bot", "type": "com.dapr.event.sent"}
    return {**plain, "datacontenttype": "application/json", "data": {"services": "all", **data}}


def as_daprd_delivers(published: dict[str, Any]) -> dict[str, Any]:
    """With what daprd adds, and the data written anew in another order."""
    data = dict(reversed(published["data"].items()))
    return {**published, "data": data, "topic": TOPIC, "pubsubname": "pubsub", "traceid": "0-1", "time": "2026"}


async def test_a_signed_event_is_taken_and_its_signer_named(open_door: Open) -> None:
    door = open_door()
    signed = signed_event(event(requested_by="x", reason="é\u2028"), TOPIC, COORDINATOR, door.key("ada").sign)
    for _ in range(2):
        assert await door.publish(as_daprd_delivers(signed)) == "SUCCESS"
    await door.life.drive()
    (requested,) = [e for e in door.world.audit.events.values() if e.event_type == "migration.requested"]
    assert requested.actor == "ada"
    assert requested.detail["actor_basis"] == f"signed event, key {door.key('ada').key_id}"


CHANGES: dict[str, dict[str, Any]] = {
    "id": {"id": "e-2"},
    "source": {"source": "other"},
    "type": {"type": "other"},
    "data": {"data": {"services": ["first"]}},
    "signature": {"callsignature": "call=:" + "A" * 86 + "==:"},
    "no input": {"callsignatureinput": None},
    "no text": {"callsignature": 7},
}


@pytest.mark.parametrize("unsigned_events", [False, True])
@pytest.mark.parametrize("change", CHANGES)
async def test_a_changed_event_is_refused_and_on_record(open_door: Open, change: str, unsigned_events: bool) -> None:
    """A wrong signature is refused also where none is needed."""
    door = open_door(unsigned_events=unsigned_events)
    signed = signed_event(event(), TOPIC, COORDINATOR, door.key("ada").sign)
    assert await door.publish({**signed, **CHANGES[change]}) == "DROP"
    (refusal,) = door.refusals()
    assert (refusal.actor, refusal.detail["code"], refusal.detail["door"]) == (None, "CM-108", "event")
    assert (await door.client.get("/migrations")).json()["runs"] == []


@pytest.mark.parametrize(("topic", "audience"), [("migrate.events", COORDINATOR), (TOPIC, "cds-task")])
async def test_an_event_that_was_signed_for_another_topic_or_application_is_refused(
    open_door: Open, topic: str, audience: str
) -> None:
    door = open_door()
    assert await door.publish(signed_event(event(), topic, audience, door.key("ada").sign)) == "DROP"


@pytest.mark.parametrize(
    ("age", "status"),
    [(LONGEST_SECONDS - 60, "SUCCESS"), (LONGEST_SECONDS + 60, "DROP"), (-30, "SUCCESS"), (-120, "DROP")],
)
async def test_an_event_may_be_late_and_not_older_than_a_week(open_door: Open, age: float, status: str) -> None:
    door = open_door()

    def sign(call: Call) -> dict[str, str]:
        return door.key("ada").sign(call, clock=lambda: time.time() - age)

    assert await door.publish(signed_event(event(), TOPIC, COORDINATOR, sign)) == status


@pytest.mark.parametrize("name", ["first", COORDINATOR, "clerk", "stranger"])
async def test_a_signed_event_of_somebody_who_may_not_is_refused_by_name(open_door: Open, name: str) -> None:
    door = open_door(unsigned_events=True)
    assert await door.publish(signed_event(event(), TOPIC, COORDINATOR, door.key(name).sign)) == "DROP"
    (refusal,) = door.refusals()
    assert (refusal.actor, refusal.detail["code"]) == (name, "CM-109")


async def test_an_unsigned_event_is_refused_unless_the_broker_is_trusted(open_door: Open) -> None:
    door = open_door()
    assert await door.publish(event(request_id="r-1")) == "DROP"
    (refusal,) = door.refusals()
    assert (refusal.detail["code"], refusal.request_id) == ("CM-108", "r-1")


async def test_where_the_broker_is_trusted_the_record_says_that_nobody_was_verified(open_door: Open) -> None:
    door = open_door(unsigned_events=True)
    assert await door.publish(event(requested_by="ceo@bank")) == "SUCCESS"
    await door.life.drive()
    events = door.world.audit.events.values()
    assert {each.detail["actor_basis"] for each in events} == {"unverified event"}
    assert {each.actor for each in events} == {"ceo@bank"}


@pytest.mark.parametrize("door_of", ["/events/migrate-requested", "/events/migrate-requested-dead"])
async def test_both_routes_for_events_look_at_the_signature(open_door: Open, door_of: str) -> None:
    door = open_door()
    answer = await door.client.post(door_of, content=json.dumps(event()).encode())
    assert answer.json()["status"] in ("DROP", "SUCCESS")
    assert (await door.client.get("/migrations")).json()["runs"] == []
