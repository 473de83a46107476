"""An approval binds what was looked at: what was approved and is not what would be done any more is void."""

from datetime import timedelta
from typing import Any

import pytest

from coordinator.domain.commands.command import read_command
from coordinator.domain.commands.refusals import ApprovalDoesNotHold
from coordinator.domain.permissions import Proof, Requester
from coordinator.domain.run import Run
from coordinator.runs.steering import Steering
from migration_sidecar.contract.messages import Action, AppliedRevision
from tests.unit.coordinator.driver.test_verbs import BROKEN, asked, command, stored
from tests.unit.coordinator.fakes import START, FakeService, Life, World

BOB = Requester(Proof.SIGNED_CALL, "bob", "k")


async def awaiting(world: World, **fields: Any) -> tuple[Life, Run]:
    life = world.life()
    await life.acceptance.accept(asked(approval="required", **fields), BOB)
    await life.drive(most_timers=1)
    return life, await stored(world)


def nothing_is_touched(world: World) -> bool:
    return all(service.applied == [] for service in world.fleet.services.values())


async def test_nothing_is_touched_before_somebody_approves_and_all_of_it_after(world: World) -> None:
    life, run = await awaiting(world)
    assert (run.state.value, run.waiting and run.waiting.kind.value) == ("awaiting_approval", "approval")
    assert run.plan_digest in (run.waiting_for or "")
    assert nothing_is_touched(world)
    run = await command(life, "approve", plan_digest=run.plan_digest)
    assert run.approval is not None
    assert (run.state.value, run.approval.by, run.approval.digest) == ("running", "operator", run.plan_digest)
    await life.drive()
    assert (await stored(world)).state.value == "succeeded"
    assert ("migration.approved", None) in world.audit.told("r-1")


async def test_whoever_asked_cannot_approve(world: World) -> None:
    life, run = await awaiting(world)
    steering = Steering(life.runs, life.acceptance, life.intake.permissions, world.catalog, world.clock)
    body = read_command({"reason": "why", "plan_digest": run.plan_digest}, "approve")
    requester = Requester(Proof.UNCHECKED)
    same = run.model_copy(
        update={"caller": None, "request": run.request.model_copy(update={"requested_by": "unknown"})}
    )
    await life.runs.update("r-1", lambda _: same)
    with pytest.raises(ApprovalDoesNotHold, match="somebody else"):
        await steering.command("r-1", body, requester, "c-1")


async def test_an_approval_of_another_plan_is_refused_and_names_the_one_of_now(world: World) -> None:
    life, run = await awaiting(world)
    with pytest.raises(ApprovalDoesNotHold, match=run.plan_digest or ""):
        await command(life, "approve", plan_digest="0" * 64)


async def test_a_rejected_plan_ends_the_run_and_says_who_and_why(world: World) -> None:
    life, _ = await awaiting(world)
    run = await command(life, "reject")
    assert run.error is not None
    assert (run.state.value, run.error.code, run.error.detail) == (
        "cancelled",
        "CM-607",
        "operator rejected the plan: why",
    )
    assert nothing_is_touched(world)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("files", "The revision files of first changed."),
        ("database", "The database of first is at r1, and was at no revision."),
        ("head", "first would be taken to r3, and not to r2."),
    ],
)
async def test_an_approval_is_void_when_a_member_of_the_plan_changed(world: World, change: str, sentence: str) -> None:
    life, run = await awaiting(world)
    await command(life, "approve", plan_digest=run.plan_digest)
    first = world.fleet.services["first"]
    if change == "files":
        first.file_version = "another"
    elif change == "database":
        first.current = ["r1"]
    else:
        first.history = ["r1", "r2", "r3"]
    await life.drive(most_timers=1)
    again = await stored(world)
    assert again.approval is not None
    assert (again.state.value, again.approval.state.value) == ("awaiting_approval", "void")
    assert sentence in again.approval.void_because
    assert sentence in (again.waiting_for or "")
    assert again.plan_digest != run.plan_digest
    assert world.fleet.services["first"].applied == []
    assert ("migration.approval_void", None) in world.audit.told("r-1")
    await command(life, "approve", "c-2", plan_digest=again.plan_digest)
    await life.drive()
    assert (await stored(world)).state.value == "succeeded"
    assert world.audit.conflicts == []


async def test_an_approval_expires(world: World) -> None:
    life, run = await awaiting(world)
    await command(life, "approve", plan_digest=run.plan_digest)
    world.clock.at += timedelta(hours=25)
    await life.drive(most_timers=1)
    assert (await stored(world)).state.value == "awaiting_approval"
    assert nothing_is_touched(world)


async def test_a_plan_with_nothing_to_do_needs_no_approval(world: World) -> None:
    for service in world.fleet.services.values():
        service.current = ["r2"]
    _, run = await awaiting(world)
    assert run.state.value == "succeeded"


async def test_a_retry_needs_an_approval_of_its_own(world: World) -> None:
    life, run = await awaiting(world)
    world.fleet.services["first"].fails_with = BROKEN
    await command(life, "approve", plan_digest=run.plan_digest)
    await life.drive()
    assert (await stored(world)).state.value == "failed"
    world.fleet.services["first"].fails_with = None
    await command(life, "retry", "c-2")
    await life.drive(most_timers=1)
    assert (await stored(world)).state.value == "awaiting_approval"


async def test_a_step_that_had_applied_something_is_approved_again_once_after_a_retry(world: World) -> None:
    life, run = await awaiting(world)
    first = world.fleet.services["first"]
    first.fails_with, first.fails_after = BROKEN, 1
    await command(life, "approve", plan_digest=run.plan_digest)
    await life.drive()
    assert ((await stored(world)).state.value, first.applied) == ("failed", ["r1"])
    first.fails_with = None
    await command(life, "retry", "c-2")
    await life.drive(most_timers=1)
    run = await stored(world)
    await command(life, "approve", "c-3", plan_digest=run.plan_digest)
    await life.drive(most_timers=3)
    assert ((await stored(world)).state.value, first.applied) == ("succeeded", ["r1", "r2"])
    assert ("migration.approval_void", None) not in world.audit.told("r-1")


async def test_a_step_that_a_pause_stopped_half_way_is_approved_again_once(world: World) -> None:
    life, run = await awaiting(world)
    first = world.fleet.services["first"]
    first.polls_until_done = 10**9
    await command(life, "approve", plan_digest=run.plan_digest)
    poll, stopped = world.fleet.operation, False

    async def poll_and_pause(address: Any, operation_id: str, *, wait_seconds: int) -> Any:
        nonlocal stopped
        if address.service == "first" and not stopped:
            stopped = True
            stop_after_the_first_revision(first, operation_id)
            await command(life, "pause", "c-2", now=True)
        return await poll(address, operation_id, wait_seconds=wait_seconds)

    world.fleet.operation = poll_and_pause  # type: ignore[method-assign]
    await life.drive(most_timers=3)
    assert (await stored(world)).state.value == "paused"
    first.polls_until_done = 1
    await command(life, "resume", "c-3")
    await life.drive(most_timers=1)
    void = await stored(world)
    assert void.approval is not None
    assert void.approval.void_because == ["first was stopped half way by a pause, so what is left is another plan."]
    await command(life, "approve", "c-4", plan_digest=void.plan_digest)
    await life.drive(most_timers=3)
    assert ((await stored(world)).state.value, first.applied) == ("succeeded", ["r1", "r2"])


def stop_after_the_first_revision(service: FakeService, operation_id: str) -> None:
    applied = AppliedRevision(revision="r1", action=Action.UPGRADE, at=START, duration_ms=1)
    service.applied, service.current = ["r1"], ["r1"]
    service.operations[operation_id] = service.operations[operation_id].model_copy(update={"applied": [applied]})
