"""A request is taken in once, whatever dies on the way."""

import asyncio

import pytest

from coordinator.domain.request import MigrationRequest, read_request
from coordinator.domain.run import Run
from coordinator.errors import IdempotencyConflict, UnknownService
from coordinator.unavailable import StateUnavailable
from tests.unit.coordinator.fakes import Died, Fate, World


def asked(request_id: str = "r-1", **body: object) -> MigrationRequest:
    return read_request({"services": "all", "request_id": request_id, **body}, default_request_id="none")


async def count_effects() -> int:
    world = World()
    fate = Fate()
    await world.life(fate).acceptance.accept(asked())
    return fate.effects


async def run_of(world: World, request_id: str) -> Run:
    run = await world.life().runs.read(request_id)
    assert run is not None
    return run


@pytest.mark.parametrize("before", [True, False])
async def test_a_death_at_any_effect_is_healed_by_asking_again(before: bool) -> None:
    for nth in range(1, await count_effects() + 1):
        world = World()
        with pytest.raises(Died):
            await world.life(Fate(dies_at=nth, before=before)).acceptance.accept(asked())
        again = world.life()
        run = await again.acceptance.accept(asked())
        await again.drive()
        assert list(world.workflows.instances) == [f"{run.request_id}.1"]
        assert (await run_of(world, "r-1")).settled


@pytest.mark.parametrize("before", [True, False])
async def test_a_death_at_any_effect_leaves_a_run_that_starts_by_itself_or_nothing_at_all(before: bool) -> None:
    outcomes = set()
    for nth in range(1, await count_effects() + 1):
        world = World()
        with pytest.raises(Died):
            await world.life(Fate(dies_at=nth, before=before)).acceptance.accept(asked())
        again = world.life()
        await again.recovery_loop.run_once()
        await again.drive()
        stored = await again.runs.read("r-1")
        outcomes.add(stored is None)
        assert stored is None or stored.settled
    assert outcomes == {True, False}


async def test_the_same_request_any_number_of_times_is_one_run(world: World) -> None:
    life = world.life()
    runs = await asyncio.gather(*(life.acceptance.accept(asked()) for _ in range(5)))
    await life.drive()
    runs.append(await life.acceptance.accept(asked()))
    await life.drive()
    assert {run.accepted_at for run in runs} == {runs[0].accepted_at}
    assert [kind for kind, _ in world.audit.told()].count("migration.requested") == 1
    assert all(service.applied == ["r1", "r2"] for service in world.fleet.services.values())


async def test_another_body_under_a_known_id_is_refused_and_the_first_one_stands(world: World) -> None:
    life = world.life()
    first = await life.acceptance.accept(asked(reason="first"))
    with pytest.raises(IdempotencyConflict, match="r-1"):
        await life.acceptance.accept(asked(reason="second"))
    assert (await run_of(world, "r-1")).request == first.request


async def test_two_bodies_racing_for_one_id_have_one_winner(world: World) -> None:
    answers = await asyncio.gather(
        *(world.life().acceptance.accept(asked(reason=str(n))) for n in range(4)), return_exceptions=True
    )
    assert sum(isinstance(answer, Run) for answer in answers) == 1
    assert sum(isinstance(answer, IdempotencyConflict) for answer in answers) == 3


async def test_a_request_with_an_unknown_service_stores_nothing(world: World) -> None:
    with pytest.raises(UnknownService):
        await world.life().acceptance.accept(asked(services=["audit", "nobody"]))
    assert world.documents.documents == {}


async def test_a_repeat_is_answered_also_when_the_catalog_has_changed(world: World) -> None:
    await world.life().acceptance.accept(asked(services=["first"]))
    world.catalog = world.catalog.model_copy(update={"services": world.catalog.services[:1]})
    assert (await world.life().acceptance.accept(asked(services=["first"]))).request_id == "r-1"


async def test_nothing_is_promised_while_state_is_down(world: World) -> None:
    world.documents.down = True
    with pytest.raises(StateUnavailable):
        await world.life().acceptance.accept(asked())


async def test_a_finished_run_is_not_started_again_by_a_repeat(world: World) -> None:
    life = world.life()
    await life.acceptance.accept(asked())
    await life.drive()
    world.workflows.instances.clear()
    await life.acceptance.accept(asked())
    assert world.workflows.instances == {}
