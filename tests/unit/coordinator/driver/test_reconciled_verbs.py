"""Whatever verbs made of a run, its record explains every event of the audit, and a forged one is found."""

from typing import Any

import pytest

from coordinator.domain.reconciliation.run_matching import EVENT_TYPES, RunMatcher
from migration_sidecar.contract.messages import RecordedAuditEvent
from tests.unit.coordinator.driver.test_verbs import BROKEN, asked, command, stored
from tests.unit.coordinator.fakes import World


async def a_retried_run(world: World) -> None:
    world.fleet.services["first"].fails_with, world.fleet.services["first"].fails_after = BROKEN, 1
    life = world.life()
    await life.acceptance.accept(asked())
    await life.drive()
    await command(life, "retry", "c-1")
    await life.drive()
    world.fleet.services["first"].fails_with = None
    await command(life, "retry", "c-2")
    await life.drive()


async def a_paused_run(world: World) -> None:
    life = world.life()
    await life.acceptance.accept(asked())
    await command(life, "pause", "c-1")
    await life.drive(most_timers=2)
    await command(life, "resume", "c-2")
    await life.drive()


async def a_run_that_was_paused_within_a_step(world: World) -> None:
    world.fleet.services["first"].polls_until_done = 10**9
    life = world.life()
    await life.acceptance.accept(asked())
    steered = False

    async def poll_and_steer(address: Any, operation_id: str, *, wait_seconds: int) -> Any:
        nonlocal steered
        if address.service == "first" and not steered:
            steered = True
            await command(life, "pause", now=True)
        return await poll(address, operation_id, wait_seconds=wait_seconds)

    poll = world.fleet.operation
    world.fleet.operation = poll_and_steer  # type: ignore[method-assign]
    await life.drive(most_timers=2)
    world.fleet.services["first"].polls_until_done = 1
    await command(life, "resume", "c-2")
    await life.drive()


async def a_compensated_run(world: World) -> None:
    for service in world.fleet.services.values():
        service.current, service.applied = ["r1"], ["r1"]
    world.fleet.services["first"].destructive = frozenset({"r2"})
    world.fleet.services["second"].fails_with = BROKEN
    life = world.life()
    await life.acceptance.accept(asked(on_failure="compensate"))
    await life.drive()


async def an_approved_run(world: World) -> None:
    life = world.life()
    await life.acceptance.accept(asked(approval="required", requested_by="ann"))
    await life.drive(most_timers=1)
    await command(life, "approve", plan_digest=(await stored(world)).plan_digest)
    await life.drive()


async def a_run_whose_approval_was_void(world: World) -> None:
    life = world.life()
    await life.acceptance.accept(asked(approval="required", requested_by="ann"))
    await life.drive(most_timers=1)
    for number in range(3):
        await command(life, "approve", f"c-{number}", plan_digest=(await stored(world)).plan_digest)
        world.fleet.services["first"].file_version = str(min(number, 1))
        await life.drive(most_timers=1)


async def a_cancelled_run(world: World) -> None:
    life = world.life()
    await life.acceptance.accept(asked())
    await command(life, "cancel")
    await life.drive()


STORIES = [
    a_retried_run,
    a_paused_run,
    a_run_that_was_paused_within_a_step,
    a_compensated_run,
    an_approved_run,
    a_run_whose_approval_was_void,
    a_cancelled_run,
]


async def matched(world: World, *, without: int | None = None, changed: int | None = None) -> RunMatcher:
    matcher = RunMatcher()
    matcher.add_run(await stored(world), owed=False)
    for number, event in enumerate(world.audit.events.values()):
        if number == without or event.event_type not in EVENT_TYPES:
            continue
        told = event.model_dump() | {"seq": number, "recorded_at": event.occurred_at}
        if number == changed:
            told |= {"event_type": "migration.approved", "service": None, "actor": "ceo@bank"}
        matcher.add_audit_event(RecordedAuditEvent.model_validate(told))
    return matcher


@pytest.mark.parametrize("story", STORIES)
async def test_record_and_audit_agree_and_any_row_that_is_removed_or_changed_is_found(world: World, story: Any) -> None:
    await story(world)
    assert world.audit.conflicts == []
    assert [gap.sentence for gap in (await matched(world)).gaps()] == []
    kinds = [event.event_type for event in world.audit.events.values()]
    for number in range(len(kinds)):
        if kinds[number] in EVENT_TYPES:
            assert list((await matched(world, without=number)).gaps()) != [], kinds[number]
            assert list((await matched(world, changed=number)).gaps()) != [], kinds[number]
