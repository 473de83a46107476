"""What the door for events does with one that is no run: on record, kept as a dead letter, and taken at last."""

from __future__ import annotations

import json
from typing import Any

import pytest

from coordinator.api.events import subscriptions
from coordinator.api.events.subscriptions import handle_dead_letter, handle_event
from coordinator.domain.dead_letters.letter import DeadLetter
from coordinator.unavailable import StateContended, StateUnavailable
from tests.unit.coordinator.at_the_doors import client_of, event, event_requesters
from tests.unit.coordinator.fakes import Life, World


@pytest.fixture(autouse=True)
def nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "PAUSES_SECONDS", (0.0, 0.0))


@pytest.fixture
def life(world: World) -> Life:
    return world.life()


async def published(life: Life, body: bytes, *, redelivered: bool = True) -> tuple[str, ...]:
    """Delivered as daprd does: what is dropped comes once more, as a dead letter."""
    first = await handle_event(body, life.intake, event_requesters(), life.letters)
    if first == "SUCCESS" or not redelivered:
        return (first,)
    return first, await handle_dead_letter(body, life.intake, event_requesters(), life.letters)


async def kept(life: Life) -> list[DeadLetter]:
    return (await life.letters.page(100, None)).letters


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (event("e-1", {"services": ["late"]}), "CM-201"),
        (event("e-1", "text"), "CM-102"),
        (event("e-1", {"services": "all", "request_id": "a b"}), "CM-103"),
        (event("e-1", {"services": "all", "surprise": 1}), "CM-603"),
        (b"nonsense", "CM-101"),
        (b"", "CM-101"),
    ],
)
async def test_a_refused_event_is_one_letter_with_the_id_of_the_event_in_the_audit(
    world: World, life: Life, body: bytes, code: str
) -> None:
    assert await published(life, body) == ("DROP", "SUCCESS")
    (letter,) = await kept(life)
    (refused,) = world.audit.events.values()
    assert (letter.id, letter.request_id) == (refused.event_id, refused.request_id)
    assert (letter.reason.code, letter.reason.detail, letter.times) == (code, refused.detail["detail"], 1)
    assert letter.body_sha256 == refused.detail["body_sha256"]


async def test_an_event_on_which_we_fail_ourselves_is_kept(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: str) -> None:
        raise RuntimeError("postgresql://user:canary@host")

    monkeypatch.setattr(life.runs, "read", fail)
    assert await published(life, event()) == ("DROP", "SUCCESS")
    (letter,) = await kept(life)
    assert letter.reason.code == "CM-901"
    assert "canary" not in letter.model_dump_json()


async def test_a_conflict_is_kept_too_once_for_each_body(life: Life) -> None:
    assert await published(life, event()) == ("SUCCESS",)
    for service in ("first", "second", "first"):
        assert await published(life, event("e-1", {"services": [service]})) == ("DROP", "SUCCESS")
    assert [(each.reason.code, each.times) for each in await kept(life)] == [("CM-601", 1), ("CM-601", 2)]


async def test_a_good_event_is_not_kept(life: Life) -> None:
    assert await published(life, event()) == ("SUCCESS",)
    assert await kept(life) == []


async def test_an_event_that_nobody_could_take_in_time_is_kept_and_knows_when_it_was_taken_at_last(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:

        async def contended(*_: Any) -> None:
            raise StateContended("index-of-runs")

        patched.setattr(life.runs, "create", contended)
        assert await published(life, event()) == ("RETRY", "RETRY")
        (letter,) = await kept(life)
        assert (letter.reason.code, letter.run) == ("CM-812", None)
    assert await handle_dead_letter(event(), life.intake, event_requesters(), life.letters) == "SUCCESS"
    (letter,) = await kept(life)
    assert letter.run is not None
    assert (letter.run.request_id, letter.run.by) == ("e-1", None)


async def test_an_event_that_is_to_come_again_soon_is_not_kept_yet(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    async def contended(*_: Any) -> None:
        raise StateContended("index-of-runs")

    monkeypatch.setattr(life.runs, "create", contended)
    assert await published(life, event(), redelivered=False) == ("RETRY",)
    assert await kept(life) == []


async def test_a_refused_event_that_could_not_be_kept_comes_again(
    world: World, life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:

        async def away(*_: Any, **__: Any) -> None:
            raise StateUnavailable("it is away")

        patched.setattr(life.letters, "keep", away)
        assert await published(life, event("e-1", {"services": 7})) == ("RETRY", "RETRY")
    assert await published(life, event("e-1", {"services": 7})) == ("DROP", "SUCCESS")
    assert len(world.audit.events) == len(await kept(life)) == 1


async def test_a_mistake_of_ours_in_keeping_it_does_not_make_it_come_again_for_ever(
    world: World, life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(life.letters, "keep", fail)
    assert await published(life, event("e-1", {"services": 7})) == ("DROP", "SUCCESS")
    assert len(world.audit.events) == 1


async def test_a_flood_is_kept_as_far_as_it_is_recorded_and_its_number_is_told(world: World, life: Life) -> None:
    for number in range(200):
        assert await published(life, event(f"bad-{number}", {"services": 7})) == ("DROP", "SUCCESS")
    page = await life.letters.page(100, None)
    assert (len(page.letters), page.not_kept) == (60, 140)
    recorded = [each.event_id for each in world.audit.events.values() if each.event_type == "migration.rejected"]
    assert {each.id for each in page.letters} == set(recorded)


async def test_who_asks_for_the_run_of_a_refused_event_is_led_to_what_came(world: World, life: Life) -> None:
    await published(life, event("e-1", {"services": ["late"]}))
    (letter,) = await kept(life)
    for is_audit_down in (False, True):
        world.audit.down = is_audit_down
        answer = (await client_of(world, life).get("/migrations/e-1")).json()
        assert (answer["code"], answer["request_id"]) == ("CM-604", "e-1")
        assert "CM-201" in answer["detail"]
        assert f"coordinator dead-letters show {letter.id}" in answer["next_step"]


async def test_a_refused_call_is_no_letter_and_leads_to_none(world: World, life: Life) -> None:
    client = client_of(world, life)
    await client.post("/migrations", json={"services": 7, "request_id": "r-1"})
    assert await kept(life) == []
    answer = (await client.get("/migrations/r-1")).json()
    assert "coordinator audit list --request r-1" in answer["next_step"]
    assert "dead-letters" not in answer["next_step"]


async def test_both_doors_of_the_application_keep_what_they_refuse(world: World, life: Life) -> None:
    client = client_of(world, life)
    for number, door in enumerate(("/events/migrate-requested", "/events/migrate-requested-dead")):
        await client.post(
            door, content=event(f"e-{number}", {"services": 7}), headers={"content-type": "application/json"}
        )
    assert [each.event_id for each in await kept(life)] == ["e-1", "e-0"]
    assert json.loads((await kept(life))[0].event)["data"] == {"services": 7}
