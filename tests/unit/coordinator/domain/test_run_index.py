"""A run may be called `index`, and whatever the first release listed under that key is still found."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from coordinator.documents.keys import FORMER_INDEX, OwnKey
from coordinator.domain.request import MigrationRequest, read_request
from coordinator.domain.run import Run
from coordinator.domain.run_index import Index, OpenRun
from coordinator.runs.recovery_loop import ABANDONED_AFTER
from tests.first_release import FirstRelease
from tests.unit.coordinator.fakes import START, Died, Fate, Life, World


def asked(request_id: str) -> MigrationRequest:
    return read_request({"services": "all", "request_id": request_id}, default_request_id="none")


def stand(world: World, key: str, value: Any) -> None:
    world.documents.documents[key] = (json.dumps(value), 1)


def an_old_store(world: World, *request_ids: str, also: tuple[str, ...] = ()) -> None:
    """With an open run for each id, and an index of the first release that names those of `also` without a record."""
    for request_id in request_ids:
        stand(world, f"run-{request_id}", Run.accept(asked(request_id), START).model_dump(mode="json"))
    named = [*request_ids, *also]
    opened = [{"request_id": one, "at": START.isoformat()} for one in named]
    stand(world, FORMER_INDEX, {"open": opened, "recent": list(reversed(named))})


async def state_of(life: Life, request_id: str) -> str:
    run = await life.runs.read(request_id)
    assert run is not None
    return run.state.value


async def test_a_run_called_index_is_a_run_like_any_other(world: World) -> None:
    life = world.life()
    await life.acceptance.accept(asked("index"))
    await life.recovery_loop.run_once()
    await life.drive()
    assert await state_of(life, "index") == "succeeded"
    await life.acceptance.accept(asked("r-2"))
    await life.recovery_loop.run_once()
    await life.drive()
    assert (await life.runs.index()).recent == ["r-2", "index"]
    assert (await life.runs.index()).open == []


async def test_an_old_store_is_taken_over_with_every_run_in_it_and_its_key_is_free(world: World) -> None:
    an_old_store(world, "r-1", "r-2")
    life = world.life()
    await life.acceptance.accept(asked("index"))
    assert (await life.runs.index()).recent == ["index", "r-2", "r-1"]
    await life.recovery_loop.run_once()
    await life.drive()
    assert [await state_of(life, one) for one in ("r-1", "r-2", "index")] == ["succeeded"] * 3
    assert (await life.runs.index()).open == []


async def test_an_old_store_that_a_request_called_index_has_broken_heals_by_itself(world: World) -> None:
    an_old_store(world, "r-1", also=("index",))
    life = world.life()
    assert await life.runs.read("index") is None
    await life.recovery_loop.run_once()
    await life.drive()
    assert await state_of(life, "r-1") == "succeeded"
    world.seconds += (ABANDONED_AFTER + timedelta(seconds=1)).total_seconds()
    await life.recovery_loop.run_once()
    assert (await life.runs.index()).recent == ["r-1"]
    await life.acceptance.accept(asked("index"))
    await life.drive()
    assert await state_of(life, "index") == "succeeded"


@pytest.mark.parametrize("before", [True, False])
async def test_a_death_at_any_step_of_the_take_over_forgets_nothing(before: bool) -> None:
    whole = Fate()
    world = World()
    an_old_store(world, "r-1", "r-2")
    await take_over(world, whole)
    assert whole.effects > 10
    for nth in range(1, whole.effects + 1):
        world = World()
        an_old_store(world, "r-1", "r-2")
        with pytest.raises(Died):
            await take_over(world, Fate(dies_at=nth, before=before))
        life = world.life()
        await life.acceptance.accept(asked("index"))
        for _ in range(2):
            await life.recovery_loop.run_once()
            await life.drive()
        assert [await state_of(life, one) for one in ("r-1", "r-2", "index")] == ["succeeded"] * 3, nth
        assert {"r-1", "r-2", "index"} == set((await life.runs.index()).recent), nth
        assert (await life.runs.index()).open == [], nth


async def take_over(world: World, fate: Fate) -> None:
    life = world.life(fate)
    await life.recovery_loop.run_once()
    await life.acceptance.accept(asked("index"))


async def test_several_coordinators_and_one_of_the_first_release_lose_no_run_between_them(world: World) -> None:
    an_old_store(world, "r-1", "r-2")
    first = FirstRelease(world.documents)
    lives = [world.life() for _ in range(3)]

    async def old_ones() -> None:
        for number in range(8):
            await first.enter(f"old-{number}", START)

    async def new_ones(life: Life, name: str) -> None:
        for number in range(4):
            await life.runs.tidy()
            await life.runs.index_add(Run.accept(asked(f"{name}-{number}"), START))

    await asyncio.gather(old_ones(), *(new_ones(life, name) for life, name in zip(lives, "abc", strict=True)))
    entered = {"r-1", "r-2", *(f"old-{n}" for n in range(8)), *(f"{name}-{n}" for name in "abc" for n in range(4))}
    assert set((await lives[0].runs.index()).recent) == entered
    await lives[0].runs.tidy()
    index = await World(documents=world.documents).life().runs.index()
    assert set(index.recent) == {entry.request_id for entry in index.open} == entered


async def test_what_is_taken_over_is_not_written_again_in_each_round(world: World) -> None:
    an_old_store(world, "r-1")
    life = world.life()
    for _ in range(3):
        await life.runs.tidy()
    before = dict(world.documents.documents)
    for _ in range(3):
        await life.runs.tidy()
    assert world.documents.documents == before


async def test_a_coordinator_of_the_first_release_does_not_write_over_the_run_called_index(world: World) -> None:
    """It would take any object for an index without entries; it fails instead, until it is replaced."""
    life = world.life()
    await life.acceptance.accept(asked("index"))
    for _ in range(2):
        with pytest.raises(ValidationError):
            await FirstRelease(world.documents).enter("old-1", START)
        await life.drive()
    assert await state_of(life, "index") == "succeeded"


async def test_a_run_called_index_is_not_taken_for_a_damaged_index_when_ours_is_gone(world: World) -> None:
    await world.life().acceptance.accept(asked("index"))
    del world.documents.documents[OwnKey.INDEX]
    life = world.life()
    await life.recovery_loop.run_once()
    assert await state_of(life, "index") == "accepted"


async def test_garbage_where_the_first_release_kept_its_index_is_kept_beside_and_what_is_readable_stays(
    world: World,
) -> None:
    an_old_store(world, "r-1")
    stand(world, FORMER_INDEX, {"open": "?", "recent": ["r-1", 7], "more": 1})
    life = world.life()
    await life.recovery_loop.run_once()
    assert (await life.runs.index()).recent == ["r-1"]
    (kept,) = [key for key in world.documents.documents if key.startswith("damaged-")]
    assert json.loads(world.documents.documents[kept][0])["document"]["more"] == 1
    await life.acceptance.accept(asked("index"))
    assert isinstance(await life.runs.read("index"), Run)


def entry_of(request_id: str, seconds: int = 0, **body: Any) -> OpenRun:
    asked_for = read_request({"services": "all", "request_id": request_id, **body}, default_request_id="none")
    return OpenRun.of(request_id, START + timedelta(seconds=seconds), asked_for)


@pytest.mark.parametrize(
    ("mine", "others", "shared"),
    [
        (["first"], ["second"], False),
        (["first", "second"], ["second", "audit"], True),
        (["first"], "all", True),
        ("all", "all", True),
    ],
)
def test_two_runs_share_services_where_both_name_one_or_one_is_for_all(mine: Any, others: Any, shared: bool) -> None:
    one, other = entry_of("one", services=mine), entry_of("other", services=others)
    assert one.shares_services_with(other) is other.shares_services_with(one) is shared


@pytest.mark.parametrize("services", ["all", ["first"]])
def test_a_dry_run_shares_no_service_with_anybody(services: Any) -> None:
    dry, real = entry_of("dry", services=services, dry_run=True), entry_of("real")
    assert not dry.shares_services_with(real)
    assert not real.shares_services_with(dry)


def test_a_run_is_never_in_the_way_of_itself() -> None:
    assert not entry_of("r-1").shares_services_with(entry_of("r-1", seconds=1))


def test_an_entry_of_an_earlier_release_may_be_for_any_service_and_is_written_as_it_was() -> None:
    former = OpenRun.model_validate({"request_id": "old", "at": START})
    assert former.shares_services_with(entry_of("new", services=["first"]))
    assert former.model_dump().keys() == {"request_id", "at"}


def test_very_many_runs_leave_in_a_moment() -> None:
    """While they do, nothing else is answered."""
    ids = [f"r-{number}" for number in range(30_000)]
    index = Index(open=[OpenRun.model_construct(request_id=each, at=START) for each in ids])
    began = time.process_time()
    assert index.without(dict.fromkeys(ids[::2], 1), ids[1::2]).open == []
    assert time.process_time() - began < 1
