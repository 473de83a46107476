"""A refused event: told once, counted once, found by the id its publisher knows, named for what is wrong with it."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest

from coordinator.api.events import subscriptions
from coordinator.api.events.subscriptions import handle_event
from coordinator.audit.rejections import MAX_UNREPORTED
from coordinator.domain.request_parsing.cloud_event import ReceivedEvent
from coordinator.errors import CoordinatorError
from migration_sidecar.contract.messages import AuditEvent
from tests.unit.coordinator.at_the_doors import client_of, event, event_requesters
from tests.unit.coordinator.fakes import Life, World

INNER = {"specversion": "1.0", "id": "inner-1", "source": "s", "type": "t", "data": {"services": "all"}}


@pytest.fixture(autouse=True)
def nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "PAUSES_SECONDS", (0.0, 0.0))


@pytest.fixture
def life(world: World) -> Life:
    return world.life()


def told(world: World, event_type: str = "migration.rejected") -> list[AuditEvent]:
    return [event for event in world.audit.events.values() if event.event_type == event_type]


def failing(life: Life, monkeypatch: pytest.MonkeyPatch, *, times: int = 10**6) -> list[str]:
    """Lets taking in fail as a mistake of our own does, for events called poison-…; gives the tries."""
    tries: list[str] = []
    take_in = life.runs.read

    async def read(request_id: str) -> Any:
        if request_id.startswith("poison-"):
            tries.append(request_id)
            if Counter(tries)[request_id] <= times:
                raise RuntimeError("postgresql://user:secret@host")
        return await take_in(request_id)

    monkeypatch.setattr(life.runs, "read", read)
    return tries


async def test_an_event_on_which_we_fail_ourselves_is_on_record_as_refused_after_a_few_tries(
    world: World, life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = failing(life, monkeypatch)
    assert await handle_event(event("poison-1"), life.intake, event_requesters()) == "DROP"
    assert len(tries) == 3
    (refused,) = told(world)
    assert (refused.request_id, refused.detail["code"]) == ("poison-1", "CM-901")
    assert "secret" not in refused.model_dump_json()
    assert await handle_event(event("good-1"), life.intake, event_requesters()) == "SUCCESS"


async def test_a_mistake_that_does_not_come_again_refuses_nothing(
    world: World, life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(life, monkeypatch, times=2)
    assert await handle_event(event("poison-1"), life.intake, event_requesters()) == "SUCCESS"
    assert told(world) == []


async def test_a_store_that_is_away_is_no_mistake_of_ours_and_the_event_comes_again(world: World, life: Life) -> None:
    world.documents.down = True
    for _ in range(5):
        assert await handle_event(event(), life.intake, event_requesters()) == "RETRY"
    world.documents.down = False
    assert await handle_event(event(), life.intake, event_requesters()) == "SUCCESS"
    assert told(world) == []


@pytest.mark.parametrize("broken", ["record", "store"])
async def test_a_refusal_that_can_be_recorded_nowhere_is_not_lost(
    world: World, life: Life, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    failing(life, monkeypatch)
    with monkeypatch.context() as patched:

        async def fail(_: AuditEvent) -> bool:
            raise RuntimeError("a mistake of ours")

        if broken == "record":
            patched.setattr(life.spool, "record_once", fail)
        world.documents.down = broken == "store"
        assert await handle_event(event("poison-1"), life.intake, event_requesters()) == "RETRY"
    world.documents.down = False
    assert await handle_event(event("poison-1"), life.intake, event_requesters()) == "DROP"
    assert [one.request_id for one in told(world)] == ["poison-1"]


async def test_a_run_that_is_stored_is_never_refused_for_a_mistake_in_starting_it(
    world: World, life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: str) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(world.workflows, "schedule", fail)
    assert await handle_event(event(), life.intake, event_requesters()) == "SUCCESS"
    assert await handle_event(event(), life.intake, event_requesters()) == "SUCCESS"
    assert told(world) == []


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("flushed_between", [False, True])
async def test_of_a_flood_each_event_is_recorded_or_counted_once_though_it_comes_again_as_a_dead_letter(
    world: World, replicas: int, flushed_between: bool
) -> None:
    lives = [world.life() for _ in range(replicas)]
    first, last = lives[0], lives[-1]
    for number in range(200):
        assert await handle_event(event(f"bad-{number}", {"services": 7}), first.intake, event_requesters()) == "DROP"
    if flushed_between:
        await first.rejections.flush()
    for number in range(200):
        assert await handle_event(event(f"bad-{number}", {"services": 7}), last.intake, event_requesters()) == "DROP"
    for life in (*lives, *lives):
        await life.rejections.flush()
    assert (len(told(world)), counted(world)) == (60, 140)
    assert world.audit.conflicts == []
    if replicas == 1:
        assert first.intake.counts["rejected"] == 200


def counted(world: World) -> int:
    return sum(one.detail["count"] for one in told(world, "migration.rejections_counted"))


async def test_a_flood_larger_than_what_is_held_in_memory_is_counted_to_the_last_one(world: World, life: Life) -> None:
    number_of_events = 2 * MAX_UNREPORTED + 300
    for number in range(number_of_events):
        for _ in range(2):
            assert (
                await handle_event(event(f"bad-{number}", {"services": 7}), life.intake, event_requesters()) == "DROP"
            )
    await life.rejections.flush()
    assert len(told(world)) + counted(world) == number_of_events
    assert life.intake.counts["rejected"] == number_of_events


async def test_a_conflict_by_event_is_counted_once_as_well(life: Life) -> None:
    await handle_event(event("e-1"), life.intake, event_requesters())
    for _ in range(3):
        assert await handle_event(event("e-1", {"services": ["first"]}), life.intake, event_requesters()) == "DROP"
    assert life.intake.counts["conflict"] == 1


@pytest.mark.parametrize(
    ("body", "known_as", "says"),
    [
        (event("ev1", '{"services": "all"}', datacontenttype="text/plain"), "ev1", "holds the request as a text"),
        (event("random", '{"services": "all", "request_id": "r-9"}'), "r-9", "holds the request as a text"),
        (event("ev2", "hello"), "ev2", "is a text"),
        (event("random", INNER), "inner-1", "a CloudEvent inside a CloudEvent"),
        (event("random", json.dumps(INNER)), "inner-1", "holds the request as a text"),
        (event("ev3", {"data": {"services": "all", "request_id": "r-8"}}), "r-8", "one level too deep"),
        (event("ev4", [{"services": "all"}]), "ev4", "is a list or a batch"),
        (event("ev5", "absent"), "ev5", "is missing"),
        (event("ev6", "absent", data_base64="e30=", datacontenttype="application/xml"), "ev6", "application/xml"),
        (event("random", "absent", data_base64="eyJyZXF1ZXN0X2lkIjogInItNiJ9"), "r-6", "instead of data"),
        (event(41), "41", "is a number"),
        (event(True), None, "is a boolean"),
        (event(None), None, "is null"),
        (event(""), None, "is empty"),
        (event("ev7", specversion="0.3"), "ev7", "is not 1.0"),
        (event("ev8", source="absent"), "ev8", "source is missing"),
        (b'{"services": "all", "request_id": "r-7"}', "r-7", "a request without a CloudEvent around it"),
        (b"[" + event("ev9") + b"]", "ev9", "is a list or a batch"),
        (event("ev10", {"services": "all", "reason": "\0"}), "ev10", "U+0000"),
        (event("ev11")[:-1] + b', "data": {}}', "ev11", "more than once"),
        (event("ev12", {"services": "all", "request_id": "a b"}), "ev12", "is not of the form"),
        (event("ev13", {"services": "all", "request_id": 7}), "7", "is not of the form"),
        (b"nonsense", None, "stops being JSON"),
    ],
)
async def test_a_mistake_of_the_publisher_is_named_and_found_by_the_id_that_he_knows(
    world: World, life: Life, body: bytes, known_as: str | None, says: str
) -> None:
    with pytest.raises(CoordinatorError) as caught:
        ReceivedEvent.parse(body).request()
    assert says in caught.value.detail
    assert await handle_event(body, life.intake, event_requesters()) == "DROP"
    (refused,) = told(world)
    assert refused.request_id == known_as
    if known_as:
        answer = await client_of(world, life).get(f"/migrations/{known_as}")
        assert (answer.status_code, answer.json()["code"]) == (404, "CM-604")
        assert says in answer.json()["detail"]
        assert refused.detail["code"] in answer.json()["detail"]
        assert f"coordinator audit list --request {known_as}" in answer.json()["next_step"]


async def test_a_refusal_is_found_also_while_the_audit_is_away(world: World, life: Life) -> None:
    world.audit.down = True
    await handle_event(event("ev1", "text"), life.intake, event_requesters())
    answer = (await client_of(world, life).get("/migrations/ev1")).json()
    assert "CM-102" in answer["detail"]


async def test_who_asks_for_what_nobody_knows_is_told_where_refusals_are(world: World, life: Life) -> None:
    for down in (False, True):
        world.audit.down = down
        answer = (await client_of(world, life).get("/migrations/nobody")).json()
        assert (answer["code"], answer["request_id"]) == ("CM-604", "nobody")
        assert "coordinator audit list --type migration.rejected" in answer["next_step"]


async def test_a_verb_that_was_refused_is_not_shown_as_the_refusal_of_a_request(world: World, life: Life) -> None:
    client = client_of(world, life)
    await client.post("/migrations/nobody/approve")
    assert "refused at" not in (await client.get("/migrations/nobody")).json()["detail"]


@pytest.mark.parametrize("changes", [{"topic": "migrate.requested.dead"}, {"time": "2026-01-01T00:00:00Z"}])
def test_what_dapr_adds_on_the_way_to_the_dead_letters_makes_no_other_event_of_it(changes: dict[str, Any]) -> None:
    for lacking in ({}, {"source": "absent"}, {"data": "text"}):
        first, later = (ReceivedEvent.parse(event("e-1", **{**lacking, **more})) for more in ({}, changes))
        assert first.identity == later.identity


def test_a_body_is_parsed_once_and_only_what_is_no_strict_json_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[Any] = []
    loads = json.loads

    def counting(text: Any, **settings: Any) -> Any:
        parsed.extend([text] if text else [])
        return loads(text, **settings)

    bodies = [event("good"), event("other", {"services": "wrong"}), event("twice")[:-1] + b', "data": {}}']
    for body, times in zip(bodies, (1, 1, 2), strict=True):
        parsed.clear()
        with monkeypatch.context() as patched:
            patched.setattr(json, "loads", counting)
            received = ReceivedEvent.parse(body)
            with suppress(CoordinatorError):
                received.request()
            assert received.identity.request_id
        assert len(parsed) == times
