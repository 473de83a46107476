"""Whatever stands in the state store instead of one of our documents, it takes down nothing but itself."""

from __future__ import annotations

import asyncio
import copy
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.api.events.subscriptions import handle_event
from coordinator.documents.keys import FORMER_INDEX, OwnKey
from coordinator.domain import audit_events
from coordinator.domain.request import read_request
from coordinator.errors import NotJson
from coordinator.runs.recovery_loop import ABANDONED_AFTER
from tests.unit.coordinator.at_the_doors import client_of, event, event_requesters
from tests.unit.coordinator.fakes import START, Life, World

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.just("x" * 10_000),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=10), inside, max_size=4),
    max_leaves=8,
)
KEYS = [OwnKey.INDEX, OwnKey.SPOOL, FORMER_INDEX, "run-spoilt"]


OTHERS = ["audit", "first"]


def asked(request_id: str) -> dict[str, Any]:
    """A run waits for earlier ones of its services, so the one that is spoilt has a service of its own."""
    return {"services": ["second"] if request_id == "spoilt" else OTHERS, "request_id": request_id}


async def lived(world: World) -> Life:
    """With an ended run, two open ones, and a refusal that waits for the audit."""
    life = world.life()
    for request_id in ("ended", "spoilt", "open"):
        await life.acceptance.accept(read_request(asked(request_id), default_request_id=""))
        if request_id == "ended":
            await life.drive()
    world.audit.down = True
    await handle_event(event("refused-1", "text"), life.intake, event_requesters())
    world.audit.down = False
    return life


@settings(max_examples=100)
@given(st.data(), st.sampled_from(KEYS), st.booleans(), st.booleans())
def test_garbage_in_any_document_takes_down_nothing_but_itself(
    data: st.DataObject, key: str, restarted: bool, nested: bool
) -> None:
    asyncio.run(_with_garbage(data, key, restarted, nested))


async def _with_garbage(data: st.DataObject, key: str, restarted: bool, nested: bool) -> None:
    world = World()
    life = await lived(world)
    stored = json.loads(world.documents.documents.get(key, ('{"open": [], "recent": []}', 1))[0])
    world.documents.documents[key] = (json.dumps(_spoilt(data, stored) if nested else data.draw(JSON)), 5)
    life = world.life() if restarted else life
    await life.recovery_loop.run_once()
    await life.rejections.flush()
    await _every_route_answers(world, life, spoilt=key.removeprefix("run-") if key.startswith("run-") else None)
    await life.recovery_loop.run_once()
    await life.rejections.flush()
    await _drive(world, life, *(["spoilt"] if key != "run-spoilt" else []), "open", "new", "by-event")
    for request_id in ("open", "new", "by-event"):
        run = await life.runs.read(request_id)
        assert run is not None
        assert run.state.value == "succeeded"


async def _drive(world: World, life: Life, *request_ids: str) -> None:
    """What the others do, whose documents are whole; that of a damaged one fails, as Dapr lets it."""
    everybody = world.workflows.instances
    world.workflows.instances = {name: each for name, each in everybody.items() if name.split(".")[0] in request_ids}
    await life.drive(most_timers=3)
    world.workflows.instances = everybody


def _spoilt(data: st.DataObject, document: Any) -> Any:
    """The document, with garbage in one place of it, or without what was there."""
    spoilt = copy.deepcopy(document)
    place = spoilt
    while True:
        names = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not names:
            return data.draw(JSON)
        name = data.draw(st.sampled_from(names))
        if isinstance(place[name], dict | list) and place[name] and data.draw(st.booleans()):
            place = place[name]
        elif data.draw(st.booleans()):
            place[name] = data.draw(JSON)
            return spoilt
        else:
            del place[name]
            return spoilt


async def _every_route_answers(world: World, life: Life, *, spoilt: str | None) -> None:
    async with client_of(world, life) as client:
        for method, path, body in (
            ("GET", "/migrations", None),
            ("GET", "/migrations?limit=1", None),
            ("GET", "/migrations?state=succeeded&service=first", None),
            ("GET", "/migrations/ended", None),
            ("GET", "/migrations/open", None),
            ("GET", "/migrations/nobody", None),
            ("POST", "/migrations", asked("new")),
            ("POST", "/migrations", asked("open")),
            ("POST", "/migrations", {"services": 7}),
            ("POST", "/migrations/open/cancel", {}),
            ("POST", "/plans", {"services": "all"}),
            ("GET", "/fleet", None),
            ("GET", "/healthz", None),
            ("GET", "/readyz", None),
            ("GET", "/metrics", None),
        ):
            answer = await client.request(method, path, json=body)
            assert answer.status_code < 500, (method, path, answer.text)
        if spoilt:
            answer = await client.get(f"/migrations/{spoilt}")
            assert answer.status_code < 500 or answer.json()["code"] == "CM-815", answer.text
            assert answer.status_code == 200 or answer.json()["next_step"]
    assert await handle_event(event("by-event", {"services": OTHERS}), life.intake, event_requesters()) == "SUCCESS"
    assert await handle_event(event("refused-2", "text"), life.intake, event_requesters()) == "DROP"
    assert await handle_event(event("ended", {"services": ["first"]}), life.intake, event_requesters()) == "DROP"


def put(world: World, key: str, value: Any) -> None:
    world.documents.documents[key] = (json.dumps(value), 5)


GARBAGE = ["text", None, [], {}, {"open": "?"}, {"open": [], "recent": ["r-1", "r-1"]}, {"request_id": "other"}, 7]


@pytest.mark.parametrize("garbage", GARBAGE, ids=str)
async def test_a_damaged_run_is_told_of_wherever_somebody_looks_and_never_written_over(
    garbage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    life = await lived(world)
    put(world, "run-spoilt", garbage)
    for _ in range(3):
        await life.recovery_loop.run_once()
    async with client_of(world, life) as client:
        one = await client.get("/migrations/spoilt")
        assert (one.status_code, one.json()["code"], one.json()["request_id"]) == (500, "CM-815", "spoilt")
        assert "CM-901" not in one.text
        listed = (await client.get("/migrations")).json()
        assert [run["request_id"] for run in listed["runs"]] == ["open", "ended"]
        assert listed["damaged"] == ["spoilt"]
        again = await client.post("/migrations", json=asked("spoilt"))
        assert again.json()["code"] == "CM-815"
        assert (await client.get("/readyz")).json()["damaged"] == {"run-spoilt": ""}
        assert "coordinator_damaged_documents 1" in (await client.get("/metrics")).text
    assert world.documents.documents["run-spoilt"] == (json.dumps(garbage), 5)
    assert [record.message for record in caplog.records].count("document_damaged") == 1


async def test_a_damaged_run_holds_up_no_run_of_the_same_services(world: World) -> None:
    """Nobody could say when it ends; a whole one is waited for."""
    life = await lived(world)
    put(world, "run-spoilt", "text")
    await life.acceptance.accept(read_request({"services": ["second"]}, default_request_id="behind"))
    await _drive(world, life, "behind")
    run = await life.runs.read("behind")
    assert run is not None
    assert run.state.value == "succeeded"


async def test_a_damaged_run_is_not_taken_for_one_that_never_got_a_record(world: World) -> None:
    life = await lived(world)
    put(world, "run-spoilt", "text")
    await life.recovery_loop.run_once()
    world.seconds += (ABANDONED_AFTER + timedelta(seconds=1)).total_seconds()
    await life.recovery_loop.run_once()
    index = await life.runs.index()
    assert "spoilt" in index.recent
    assert "spoilt" in {entry.request_id for entry in index.open}


async def test_a_record_that_a_person_has_mended_is_no_longer_told_of(world: World) -> None:
    life = await lived(world)
    whole = world.documents.documents["run-spoilt"]
    put(world, "run-spoilt", "text")
    await life.recovery_loop.run_once()
    assert life.runs.damaged_documents.copies
    world.documents.documents["run-spoilt"] = whole
    await life.recovery_loop.run_once()
    assert life.runs.damaged_documents.copies == {}
    await life.drive()
    assert (await life.runs.index()).open == []


@pytest.mark.parametrize("garbage", ["text", None, [], {}, {"open": "?", "recent": 7}, {"open": [1], "recent": [{}]}])
async def test_a_damaged_index_is_kept_for_a_person_and_begun_anew_from_what_this_process_knows(
    world: World, garbage: Any
) -> None:
    life = await lived(world)
    put(world, OwnKey.INDEX, garbage)
    await life.recovery_loop.run_once()
    assert (await life.runs.index()).recent == ["open", "spoilt", "ended"]
    kept = {key: value for key, value in world.documents.documents.items() if key.startswith("damaged-")}
    assert [json.loads(text)["document"] for text, _ in kept.values()] == [garbage]
    assert life.runs.damaged_documents.copies == {OwnKey.INDEX: next(iter(kept))}


async def test_of_a_damaged_index_what_can_be_read_is_kept_after_a_restart_too(world: World) -> None:
    await lived(world)
    document = json.loads(world.documents.documents[OwnKey.INDEX][0])
    put(world, OwnKey.INDEX, {**document, "recent": [*document["recent"], 7, "a b"]})
    life = world.life()
    await life.recovery_loop.run_once()
    assert (await life.runs.index()).recent == ["open", "spoilt", "ended"]
    await life.drive()
    assert (await life.runs.index()).open == []


@pytest.mark.parametrize("deleted", [True, False])
async def test_a_run_that_was_lost_with_the_index_enters_it_again_when_it_is_touched(
    world: World, deleted: bool
) -> None:
    await lived(world)
    put(world, OwnKey.INDEX, "text")
    if deleted:
        del world.documents.documents[OwnKey.INDEX]
    life = world.life()
    await life.acceptance.accept(read_request(asked("new"), default_request_id=""))
    assert (await life.runs.index()).recent == ["new"]
    await life.drive()
    async with client_of(world, life) as client:
        await client.get("/migrations/ended")
    assert set((await life.runs.index()).recent) == {"new", "open", "spoilt", "ended"}
    await life.recovery_loop.run_once()
    assert (await life.runs.index()).open == []


async def test_an_index_that_is_deleted_under_a_running_coordinator_is_written_again(world: World) -> None:
    life = await lived(world)
    del world.documents.documents[OwnKey.INDEX]
    await life.recovery_loop.run_once()
    assert (await world.life().runs.index()).recent == ["open", "spoilt", "ended"]


async def test_an_event_that_the_audit_would_refuse_for_ever_holds_up_no_refusal(world: World) -> None:
    problem = NotJson("it is not.").problem()
    good = audit_events.rejection_event(("event", "s", "1"), START, problem, request_id=None).model_dump(mode="json")
    bad = [{**good, "event_type": "nobody.knows"}, {"detail": 7}, "text"]
    put(world, OwnKey.SPOOL, {"events": [*bad, good], "dropped": "?", "recorded": [1]})
    life = world.life()
    assert await life.rejections.flush() == 1
    assert list(map(str, world.audit.events)) == [good["event_id"]]
    assert [key for key in world.documents.documents if key.startswith("damaged-rejections-pending-")]


@pytest.mark.parametrize("detail", ["[" * 300 + "]" * 300, r'"\ud800"'], ids=["nested", "half a pair"])
async def test_a_run_that_can_be_read_and_not_written_is_damaged_and_spoils_no_page(world: World, detail: str) -> None:
    life = await lived(world)
    record = json.loads(world.documents.documents["run-spoilt"][0])
    record["outbox"][0]["event"]["detail"] = {"reason": json.loads(detail)}
    record["caller"] = "\ud800" if "ud800" in detail else None
    stored = json.dumps(record)
    world.documents.documents["run-spoilt"] = (stored, 7)
    async with client_of(world, life) as client:
        page = await client.get("/migrations")
        assert page.status_code == 200
        assert page.json()["damaged"] == ["spoilt"]
        assert (await client.get("/migrations/spoilt")).json()["code"] == "CM-815"
    await life.recovery_loop.run_once()
    assert world.documents.documents["run-spoilt"] == (stored, 7)


async def test_marks_of_refusals_that_nobody_can_write_again_leave(world: World) -> None:
    """One half of a surrogate pair in the list kept every later refusal from being recorded."""
    life = await lived(world)
    kept = json.loads(world.documents.documents[OwnKey.SPOOL][0])
    world.documents.documents[OwnKey.SPOOL] = (json.dumps(kept | {"recorded": ["\ud800"]}), 7)
    await handle_event(event("refused-2", "text"), life.intake, event_requesters())
    json.dumps(json.loads(world.documents.documents[OwnKey.SPOOL][0]), ensure_ascii=False).encode()
