"""The whole life of a run, with a death before and after every single effect: it ends the same, and nothing twice."""

import asyncio
from collections import Counter

import pytest

from coordinator.domain.request import MigrationRequest, read_request
from coordinator.driver import activities
from tests.unit.coordinator.fakes import HISTORY, Died, Fate, World

REQUEST = read_request({"services": "all", "request_id": "r-1"}, default_request_id="none")
PARALLEL = read_request({"services": "all", "request_id": "r-1", "max_parallel": 3}, default_request_id="none")


async def live(world: World, fate: Fate, request: MigrationRequest) -> None:
    """One process that accepts, works and sweeps until it dies or nothing is left to do."""
    life = world.life(fate)
    try:
        await life.acceptance.accept(request)
        await life.drive()
        await life.recovery_loop.run_once()
        await life.drive()
    finally:
        fate.dead = True
        for task in life.relay.background:
            task.cancel()


@pytest.mark.parametrize("request_", [REQUEST, PARALLEL], ids=["one by one", "in waves"])
@pytest.mark.parametrize("before", [True, False])
async def test_a_run_survives_a_death_at_any_effect(before: bool, request_: MigrationRequest) -> None:
    whole = Fate()
    await live(World(), whole, request_)
    assert whole.effects > 50
    for nth in range(1, whole.effects + 1):
        world = World()
        try:
            await live(world, Fate(dies_at=nth, before=before), request_)
        except Died:
            await live(world, Fate(), request_)
        await check(world, nth)


@pytest.mark.parametrize("before", [True, False])
async def test_a_run_survives_two_deaths(before: bool) -> None:
    for first in range(5, 60, 7):
        for second in range(3, 60, 8):
            world = World()
            for dies_at in (first, second, None):
                try:
                    await live(world, Fate(dies_at=dies_at, before=before), REQUEST)
                except Died:
                    continue
            await check(world, (first, second))


async def check(world: World, where: object) -> None:
    run = await world.life().runs.read("r-1")
    assert run is not None, where
    assert (run.state.value, run.audit, run.outbox) == ("succeeded", "recorded", []), where
    assert {service.applied == HISTORY for service in world.fleet.services.values()} == {True}, where
    assert {len(service.operations) for service in world.fleet.services.values()} == {1}, where
    assert world.audit.conflicts == [], where
    told = Counter(world.audit.told("r-1"))
    assert set(told.values()) == {1}, where
    steps = [
        (kind, name) for name in world.fleet.services for kind in ("migration.step_started", "migration.step_finished")
    ]
    once = [("migration.requested", None), ("migration.started", None), ("migration.finished", None)]
    assert set(told) == {*once, *steps}, where
    assert in_order(world), where
    assert {kind for kind, _ in world.topic.published} == {
        "migrate.accepted",
        "migrate.step.finished",
        "migrate.finished",
    }, where
    assert (await world.life().runs.index()).open == [], where


def in_order(world: World) -> bool:
    """A dependent starts only after what it depends on is in the audit as finished."""
    told = world.audit.told("r-1")
    return all(
        told.index(("migration.step_finished", "audit")) < told.index(("migration.step_started", name))
        for name in ("first", "second")
    )


async def test_an_activity_that_runs_twice_at_the_same_time_ends_the_same(world: World) -> None:
    life = world.life()
    await life.acceptance.accept(REQUEST)
    order = {"request_id": "r-1", "generation": 1}
    await asyncio.gather(*(activities.drive(order, dependencies=world.life().dependencies) for _ in range(3)))
    await check(world, "twice")
