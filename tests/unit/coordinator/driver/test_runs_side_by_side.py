"""Runs that share a service, and steps that go on beside each other: what was decided is looked at again."""

from datetime import timedelta

from coordinator.domain.request import read_request
from tests.unit.coordinator.driver.test_approvals import awaiting
from tests.unit.coordinator.driver.test_verbs import BROKEN, asked, command, steps, stored
from tests.unit.coordinator.fakes import World


async def test_a_step_does_not_begin_when_the_one_beside_it_failed_while_it_was_prepared(world: World) -> None:
    life = world.life()
    await life.acceptance.accept(asked(max_parallel=2))
    world.fleet.services["audit"].applied = ["r1", "r2"]
    world.fleet.services["audit"].current = ["r2"]
    await life.dependencies.driver.planner.plan(await stored(world))
    ready = await stored(world)
    world.fleet.services["first"].fails_with = BROKEN
    runner = life.dependencies.driver.steps
    deadline = runner.stopwatch() + 5
    await runner.carry_out(ready, "first", deadline)
    await runner.carry_out(ready, "second", deadline)  # decided on before `first` had failed
    assert {**await steps(world), "second": "not begun"} == {
        "audit": "unchanged",
        "first": "failed",
        "second": "not begun",
    }
    assert world.fleet.services["second"].operations == {}


async def test_a_retried_run_waits_for_one_that_began_meanwhile(world: World) -> None:
    world.fleet.services["first"].fails_with = BROKEN
    life = world.life()
    await life.acceptance.accept(asked())
    await life.drive()
    world.fleet.services["first"].fails_with = None
    await life.acceptance.accept(read_request({"services": "all", "approval": "required"}, default_request_id="r-2"))
    await life.drive(most_timers=1)
    assert (await stored(world, "r-2")).state == "awaiting_approval"
    await command(life, "retry")
    await life.drive(most_timers=2)
    run = await stored(world)
    assert (run.state, run.waiting and run.waiting.kind) == ("accepted", "queue")


async def test_a_run_waits_for_an_earlier_one_although_the_clock_was_set_back(world: World) -> None:
    life = world.life()
    await life.acceptance.accept(asked(approval="required"))
    await life.drive(most_timers=1)
    world.clock.at -= timedelta(seconds=5)
    await life.acceptance.accept(read_request({"services": ["first"]}, default_request_id="r-2"))
    await life.drive(most_timers=2)
    assert (await stored(world, "r-2")).state == "accepted"


async def test_an_approval_that_has_expired_is_void_also_while_the_service_does_not_answer(world: World) -> None:
    life, run = await awaiting(world)
    await command(life, "approve", plan_digest=run.plan_digest)
    world.clock.at += timedelta(hours=25)
    world.fleet.services["audit"].down = True
    await life.drive(most_timers=1)
    assert (await stored(world)).state == "awaiting_approval"


async def test_an_approval_of_the_rest_of_a_step_holds(world: World) -> None:
    life, run = await awaiting(world)
    audit = world.fleet.services["audit"]
    audit.fails_with, audit.fails_after = BROKEN, 1
    await command(life, "approve", plan_digest=run.plan_digest)
    await life.drive()
    audit.fails_with = None
    await command(life, "retry", "c-2")
    await life.drive(most_timers=1)
    await command(life, "approve", "c-3", plan_digest=(await stored(world)).plan_digest)
    await life.drive(most_timers=3)
    assert (await stored(world)).state == "succeeded"
