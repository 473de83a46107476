"""A run whose workflow nobody drives is named, taken up again, and never mistaken for one that rightly waits."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Any

import pytest

from coordinator.domain.request import read_request
from coordinator.domain.run import Run
from coordinator.domain.stalled_run import SENTENCES, Standstill
from coordinator.driver import activities
from coordinator.runs.workflow_progress import BUSY_ACTIVITIES, MAX_OBSERVED_SECONDS, REPORT_AFTER_SECONDS
from coordinator.unavailable import WorkflowUnavailable
from tests.unit.coordinator.fakes import HISTORY, Life, World

EVERY = 10


async def accepted(life: Life, request_id: str = "r-1") -> None:
    await life.acceptance.accept(read_request({"services": ["first"]}, default_request_id=request_id))


async def looks(life: Life, seconds: float, *others: Life) -> None:
    """A round of the sweep of each replica every ten seconds, and no turn of any workflow."""
    for _ in range(round(seconds / EVERY)):
        life.world.seconds += EVERY
        for each in (life, *others):
            await each.recovery_loop.run_once()


async def stored(life: Life, request_id: str = "r-1") -> Run:
    run = await life.runs.read(request_id)
    assert run is not None
    return run


async def test_a_run_that_nobody_drives_is_named_within_a_minute_and_then_taken_up_again(world: World) -> None:
    life = world.life()
    await accepted(life)
    lost = world.workflows.instances["r-1.1"]
    await looks(life, 60)
    assert (await stored(life)).standstill is Standstill.STILL
    assert life.recovery_loop.recovery.not_starting == {"r-1"}
    assert world.workflows.terminated == []
    await looks(life, 10)
    assert life.recovery_loop.still_runs == 1
    assert (await stored(life)).standstill is Standstill.TAKEN_UP
    assert world.workflows.terminated == ["r-1.1"]
    assert sorted(world.workflows.instances) == ["r-1.1", "r-1.2"]
    assert world.workflows.instances["r-1.1"] is lost
    await life.drive()
    run = await stored(life)
    assert (run.state, run.public()["waiting_for"], run.steps[0].operation_id) == ("succeeded", None, "r-1.first.1")
    assert "standstill" not in run.public()
    assert world.fleet.services["first"].applied == HISTORY
    await life.recovery_loop.run_once()
    assert life.recovery_loop.still_runs == 0


async def test_that_a_delivery_is_marked_while_a_run_stands_still_is_no_movement(world: World) -> None:
    life = world.life()
    await accepted(life)
    await life.relay.deliver_to_audit(await stored(life))
    await looks(life, 60)
    run = await stored(life)
    assert (run.standstill, run.audit) == (Standstill.STILL, "recorded")
    await looks(life, 10)
    assert world.workflows.terminated == ["r-1.1"]


async def test_a_run_that_moves_again_says_no_longer_that_it_stands_still(world: World) -> None:
    life = world.life()
    await accepted(life)
    await looks(life, 60)
    world.workflows.instances["r-1.1"].turns += 1
    await looks(life, 10)
    assert (await stored(life)).standstill is None
    assert life.recovery_loop.recovery.not_starting == set()


async def test_a_run_whose_step_takes_hours_is_never_taken_up(world: World) -> None:
    """Its activity asks for some seconds and ends; then its workflow takes a turn and orders the next."""
    life = world.life()
    await accepted(life)
    for _ in range(60):
        world.workflows.instances["r-1.1"].turns += 1
        await looks(life, 30)
    assert world.workflows.terminated == []
    assert (await stored(life)).standstill is None


async def test_an_activity_that_is_under_way_here_is_movement_enough(world: World) -> None:
    life = world.life()
    await accepted(life)
    with life.activities.running("r-1"):
        await looks(life, 600)
    assert (world.workflows.terminated, (await stored(life)).standstill) == ([], None)


async def test_runs_that_wait_behind_many_others_are_left_alone(world: World) -> None:
    life = world.life()
    await accepted(life)
    busy = [life.activities.running(f"other-{number}") for number in range(BUSY_ACTIVITIES)]
    for one in busy:
        one.__enter__()
    await looks(life, 600)
    assert world.workflows.terminated == []


async def test_a_run_that_nobody_drives_is_found_behind_many_others_as_well(world: World) -> None:
    life = world.life()
    await accepted(life)
    with ExitStack() as busy:
        for number in range(BUSY_ACTIVITIES):
            busy.enter_context(life.activities.running(f"other-{number}"))
        await looks(life, 470)
        assert (await stored(life)).standstill is Standstill.STILL
        await looks(life, 660)
    assert world.workflows.terminated == ["r-1.1"]


async def test_a_workflow_that_somebody_paused_by_hand_is_named_at_once_and_moves_again_within_a_minute(
    world: World,
) -> None:
    life = world.life()
    await accepted(life)
    world.workflows.instances["r-1.1"].paused = True
    await looks(life, 10)
    assert (await stored(life)).standstill is Standstill.PAUSED
    assert (world.workflows.terminated, life.recovery_loop.recovery.not_starting) == ([], set())
    world.workflows.instances["r-1.1"].paused = False
    await looks(life, 20)
    assert (await stored(life)).standstill is None


async def test_a_run_is_kept_from_going_on_by_its_own_verb_and_not_by_a_workflow_that_was_paused_by_hand(
    world: World,
) -> None:
    """Such a workflow would hold the run for ever, and nobody who looks at the run could tell who paused it."""
    life = world.life()
    await accepted(life)
    world.workflows.instances["r-1.1"].paused = True
    await looks(life, 60)
    assert (world.workflows.terminated, (await stored(life)).standstill) == ([], Standstill.PAUSED)
    await looks(life, 10)
    assert world.workflows.terminated == ["r-1.1"]
    await life.drive()
    assert ((await stored(life)).state, (await stored(life)).generation) == ("succeeded", 2)


async def test_a_workflow_that_dapr_cannot_replay_is_followed_by_another_although_it_cannot_be_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its history was written by another release; what the run did is in its record."""

    async def refuse(instance_id: str) -> None:
        raise WorkflowUnavailable("the old workflow did not end in time")

    life = world.life()
    await accepted(life)
    world.workflows.instances["r-1.1"].stalled = True
    monkeypatch.setattr(world.workflows, "terminate", refuse)
    await looks(life, 70)
    assert sorted(world.workflows.instances) == ["r-1.1", "r-1.2"]
    world.workflows.instances["r-1.1"].over = True  # it takes no turn
    await life.drive()
    run = await stored(life)
    assert (run.state, run.generation, run.steps[0].operation_id) == ("succeeded", 2, "r-1.first.1")


async def test_a_workflow_that_was_replaced_and_moves_again_does_nothing_more(world: World) -> None:
    life = world.life()
    await accepted(life)
    await looks(life, 70)
    before = await stored(life)
    late = await activities.drive({"request_id": "r-1", "generation": 1}, dependencies=life.dependencies)
    assert late == {"over": True, "wait_seconds": 0}
    assert await stored(life) == before
    assert world.fleet.services["first"].operations == {}


async def test_of_two_replicas_one_takes_the_run_up_and_the_other_sees_that(world: World) -> None:
    one, other = world.life(), world.life()
    await accepted(one)
    await looks(one, 100, other)
    assert world.workflows.terminated == ["r-1.1"]


async def test_of_two_replicas_that_decide_at_once_only_one_ends_the_workflow(world: World) -> None:
    one, other = world.life(), world.life()
    await accepted(one)
    await looks(one, 60, other)
    world.seconds += EVERY
    await asyncio.gather(one.recovery_loop.run_once(), other.recovery_loop.run_once())
    assert world.workflows.terminated == ["r-1.1"]


async def test_nothing_is_taken_up_while_the_engine_takes_no_turn(world: World) -> None:
    life = world.life()
    await accepted(life)
    world.workflows.connected = False
    await looks(life, 600)
    assert (world.workflows.terminated, (await stored(life)).standstill) == ([], Standstill.STILL)


async def test_a_process_or_machine_that_stood_still_makes_no_run_look_still(world: World) -> None:
    life = world.life()
    await accepted(life)
    await life.recovery_loop.run_once()
    world.seconds += 8 * 3600
    await life.recovery_loop.run_once()
    assert MAX_OBSERVED_SECONDS < REPORT_AFTER_SECONDS
    assert (world.workflows.terminated, (await stored(life)).standstill) == ([], None)


async def test_an_accepted_run_that_cannot_be_scheduled_is_named_as_well(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(instance_id: str) -> None:
        raise WorkflowUnavailable("no worker took it in time")

    monkeypatch.setattr(world.workflows, "schedule", refuse)
    life = world.life()
    await accepted(life)
    await looks(life, 60)
    assert life.recovery_loop.recovery.not_starting == {"r-1"}
    assert (await stored(life)).standstill is Standstill.STILL


async def test_a_run_that_cannot_be_looked_after_keeps_no_other_from_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = world.life()
    await accepted(life, "r-1")
    await accepted(life, "r-2")
    del world.workflows.instances["r-2.1"]
    driver = world.workflows.driver

    async def stalled(instance_id: str) -> Any:
        if instance_id == "r-1.1":
            raise WorkflowUnavailable("UNKNOWN")
        return await driver(instance_id)

    monkeypatch.setattr(world.workflows, "driver", stalled)
    await life.recovery_loop.run_once()
    assert "r-2.1" in world.workflows.instances


async def test_what_an_activity_said_is_kept_and_told_beside_the_standstill(world: World) -> None:
    world.audit.down = True
    world.fleet.services["first"].current = ["r1"]
    life = world.life()
    await accepted(life)
    await life.drive(3)
    said = (await stored(life)).waiting_for
    assert said is not None
    assert "could not store audit events" in said
    await looks(life, 60)
    run = await stored(life)
    assert run.waiting_for == said
    assert run.public()["waiting_for"] == f"{SENTENCES[Standstill.STILL]} What it said last: {said}"
    world.workflows.instances["r-1.1"].turns += 1
    await looks(life, 10)
    assert (await stored(life)).public()["waiting_for"] == said


async def test_what_was_said_in_other_words_by_another_release_is_taken_back_as_well(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No decision hangs on the wording of a sentence."""
    life = world.life()
    await accepted(life)
    await looks(life, 60)
    monkeypatch.setitem(SENTENCES, Standstill.STILL, "Nothing drives it.")
    assert (await stored(life)).public()["waiting_for"] == "Nothing drives it."
    world.workflows.instances["r-1.1"].turns += 1
    await looks(life, 10)
    assert (await stored(life)).public()["waiting_for"] is None
