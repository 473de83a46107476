"""What an operator can do with a run while it is carried out, told by what becomes of the databases."""

from typing import Any

import pytest

from coordinator.domain.commands.command import read_command
from coordinator.domain.commands.refusals import NotPossibleNow
from coordinator.domain.permissions import Proof, Requester
from coordinator.domain.request import MigrationRequest, read_request
from coordinator.domain.run import Run
from coordinator.runs.steering import Steering
from migration_sidecar.contract.messages import Problem
from tests.unit.coordinator.fakes import Life, World

ANN = Requester(Proof.SIGNED_CALL, "operator", "k")
BROKEN = Problem(code="CM-401", title="t", detail="It broke.", next_step="n")


def asked(**fields: Any) -> MigrationRequest:
    return read_request({"services": "all", **fields}, default_request_id="r-1")


async def command(life: Life, verb: str, command_id: str = "c-1", request_id: str = "r-1", **fields: Any) -> Run:
    steering = Steering(life.runs, life.acceptance, life.intake.permissions, life.world.catalog, life.world.clock)
    return await steering.command(request_id, read_command({"reason": "why", **fields}, verb), ANN, command_id)


async def stored(world: World, request_id: str = "r-1") -> Run:
    run = await world.life().runs.read(request_id)
    assert run is not None
    return run


async def steps(world: World) -> dict[str, str]:
    return {step.service: step.state.value for step in (await stored(world)).steps}


async def test_a_run_that_is_cancelled_before_it_is_planned_touches_nothing(world: World) -> None:
    life = world.life()
    await life.acceptance.accept(asked())
    run = await command(life, "cancel")
    assert run.state == "cancelled"
    await life.drive()
    assert all(service.applied == [] for service in world.fleet.services.values())
    assert (await stored(world)).settled
    assert ("migration.cancel_requested", None) in world.audit.told("r-1")


async def test_a_paused_run_starts_nothing_until_it_is_resumed(world: World) -> None:
    life = world.life()
    await life.acceptance.accept(asked())
    await command(life, "pause")
    await life.drive(most_timers=3)
    assert all(service.applied == [] for service in world.fleet.services.values())
    run = await stored(world)
    assert (run.state, run.waiting and run.waiting.kind) == ("paused", "paused")
    await command(life, "resume", "c-2")
    await life.drive()
    assert (await stored(world)).state == "succeeded"


async def test_a_pause_that_comes_while_a_step_is_under_way_holds_after_it(world: World) -> None:
    world.fleet.services["audit"].polls_until_done = 3
    life = world.life()
    await life.acceptance.accept(asked())

    pauses = 0

    async def pause_while_polling(*_: Any, **__: Any) -> Any:
        nonlocal pauses
        pauses += 1
        if pauses == 1:
            await command(life, "pause")
        return await poll(*_, **__)

    poll = world.fleet.operation
    world.fleet.operation = pause_while_polling  # type: ignore[method-assign]
    await life.drive(most_timers=3)
    assert await steps(world) == {"audit": "succeeded", "first": "pending", "second": "pending"}
    assert (await stored(world)).state == "paused"
    await command(life, "resume", "c-2")
    await life.drive()
    assert set((await steps(world)).values()) == {"succeeded"}


@pytest.mark.parametrize("now", [False, True])
async def test_a_cancel_while_a_step_is_under_way_ends_it_at_a_whole_revision(world: World, now: bool) -> None:
    world.fleet.services["first"].polls_until_done = 10**9
    life = world.life()
    await life.acceptance.accept(asked())
    done = False

    async def poll_and_steer(address: Any, operation_id: str, *, wait_seconds: int) -> Any:
        nonlocal done
        if not done and address.service == "first":
            done = True
            await (command(life, "pause", now=True) if now else command(life, "cancel"))
        return await poll(address, operation_id, wait_seconds=wait_seconds)

    poll = world.fleet.operation
    world.fleet.operation = poll_and_steer  # type: ignore[method-assign]
    await life.drive(most_timers=3)
    run = await stored(world)
    if not now:
        assert run.state == "cancelled"
        assert await steps(world) == {"audit": "succeeded", "first": "cancelled", "second": "cancelled"}
        return
    assert (run.state, run.step("first").state) == ("paused", "pending")
    world.fleet.services["first"].polls_until_done = 1
    await command(life, "resume", "c-2")
    await life.drive()
    run = await stored(world)
    assert (run.state, run.step("first").operation_id) == ("succeeded", "r-1.first.2")
    assert world.audit.conflicts == []


async def test_a_retry_repeats_the_failed_step_and_what_follows_and_nothing_that_succeeded(world: World) -> None:
    world.fleet.services["first"].fails_with = BROKEN
    life = world.life()
    await life.acceptance.accept(asked())
    await life.drive()
    assert await steps(world) == {"audit": "succeeded", "first": "failed", "second": "skipped"}
    assert (await stored(world)).settled
    world.fleet.services["first"].fails_with = None
    run = await command(life, "retry")
    assert (run.state, run.round, run.instance_id) == ("accepted", 2, "r-1.2")
    await life.drive()
    run = await stored(world)
    assert (run.state, run.settled) == ("succeeded", True)
    assert await steps(world) == {"audit": "succeeded", "first": "succeeded", "second": "succeeded"}
    assert len(world.fleet.services["audit"].operations) == 1
    assert world.audit.conflicts == []
    assert [kind for kind, _ in world.audit.told("r-1")].count("migration.finished") == 2


async def test_the_same_command_twice_is_one(world: World) -> None:
    world.fleet.services["first"].fails_with = BROKEN
    life = world.life()
    await life.acceptance.accept(asked())
    await life.drive()
    first = await command(life, "retry", "c-1")
    again = await command(life, "retry", "c-1")
    assert (first.round, again.round) == (2, 2)
    with pytest.raises(NotPossibleNow):
        await command(life, "retry", "c-2")


@pytest.mark.parametrize("verb", ["pause", "resume", "cancel", "retry", "reject"])
async def test_a_run_that_succeeded_takes_no_verb(world: World, verb: str) -> None:
    life = world.life()
    await life.acceptance.accept(asked())
    await life.drive()
    with pytest.raises(NotPossibleNow, match="succeeded"):
        await command(life, verb)


async def test_a_retry_plans_from_where_the_database_is_now(world: World) -> None:
    first = world.fleet.services["first"]
    first.fails_with, first.fails_after = BROKEN, 1
    life = world.life()
    await life.acceptance.accept(asked())
    await life.drive()
    assert [each.revision for each in (await stored(world)).step("first").applied] == ["r1"]
    first.fails_with = None
    await command(life, "retry")
    await life.drive()
    step = (await stored(world)).step("first")
    assert (step.state, [each.revision for each in step.applied]) == ("succeeded", ["r1", "r2"])
    assert first.applied == ["r1", "r2"]
