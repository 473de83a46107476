"""What a failure, an order, a canary, a pause between waves and a queue mean, told by what becomes of the databases."""

from datetime import timedelta
from typing import Any

import pytest

from coordinator.domain.catalog_file import read_catalog
from coordinator.domain.permissions import Proof, Requester
from coordinator.domain.request import read_request
from coordinator.domain.run import Run
from migration_sidecar.contract.messages import Operation, OperationState
from tests.unit.coordinator.driver.test_verbs import BROKEN, asked, command, steps, stored
from tests.unit.coordinator.fakes import CATALOG, FakeService, World

BOB = Requester(Proof.SIGNED_CALL, "bob", "k")


async def carried_out(world: World, **fields: Any) -> Run:
    life = world.life()
    await life.acceptance.accept(asked(**fields))
    await life.drive()
    return await stored(world)


async def test_with_stop_nothing_starts_after_a_failure(world: World) -> None:
    world.fleet.services["first"].fails_with = BROKEN
    assert (await carried_out(world)).state == "failed"
    assert (await steps(world))["second"] == "skipped"


async def test_with_continue_what_does_not_depend_on_it_goes_on(world: World) -> None:
    world.fleet.services["first"].fails_with = BROKEN
    assert (await carried_out(world, on_failure="continue")).state == "failed"
    assert await steps(world) == {"audit": "succeeded", "first": "failed", "second": "succeeded"}


async def test_with_continue_dependents_of_a_failed_step_are_skipped(world: World) -> None:
    world.fleet.services["audit"].fails_with = BROKEN
    assert (await carried_out(world, on_failure="continue")).state == "failed"
    assert await steps(world) == {"audit": "failed", "first": "skipped", "second": "skipped"}


@pytest.mark.parametrize(("allowed", "second"), [("10%", "skipped"), (1, "succeeded"), ("40%", "succeeded")])
async def test_more_failures_than_allowed_stop_the_run(world: World, allowed: Any, second: str) -> None:
    world.fleet.services["first"].fails_with = BROKEN
    await carried_out(world, on_failure="continue", max_failures=allowed)
    assert (await steps(world))["second"] == second


async def test_compensation_takes_back_what_this_run_changed_and_nothing_else(world: World) -> None:
    for service in world.fleet.services.values():
        service.current, service.applied = ["r1"], ["r1"]
    world.fleet.services["second"].fails_with = BROKEN
    run = await carried_out(world, on_failure="compensate")
    assert run.state == "compensated"
    assert await steps(world) == {"audit": "reverted", "first": "reverted", "second": "failed"}
    assert {service.current[0] for service in world.fleet.services.values()} == {"r1"}
    assert run.error is not None
    assert run.error.code == "CM-401"
    assert world.audit.conflicts == []


async def test_compensation_goes_in_reverse_order(world: World) -> None:
    for service in world.fleet.services.values():
        service.current, service.applied = ["r1"], ["r1"]
    world.fleet.services["second"].fails_with = BROKEN
    await carried_out(world, on_failure="compensate")
    told = [name for kind, name in world.audit.told("r-1") if kind == "migration.step_compensated"]
    assert told == ["first", "audit"]


async def test_compensation_that_would_lose_data_needs_a_person(world: World) -> None:
    for service in world.fleet.services.values():
        service.current, service.applied = ["r1"], ["r1"]
    world.fleet.services["first"].destructive = frozenset({"r2"})
    world.fleet.services["second"].fails_with = BROKEN
    run = await carried_out(world, on_failure="compensate")
    assert run.state == "needs_attention"
    assert await steps(world) == {"audit": "reverted", "first": "needs_attention", "second": "failed"}
    undo = run.step("first").undo
    assert undo is not None
    assert undo.error is not None
    assert "first is at r2" in undo.error.detail
    assert "migration-sidecar downgrade r1" in undo.error.next_step
    assert world.fleet.services["first"].current == ["r2"]


class Interrupted(FakeService):
    """Its operation applies a revision and then ends in another way than by success or failure."""

    end = OperationState.NEEDS_ATTENTION
    other: FakeService  # which fails only after that

    def _ended(self, operation: Operation) -> Operation:
        ended = super()._ended(operation)
        self.other.polls_until_done = 1
        return ended if operation.action == "downgrade" else ended.model_copy(update={"state": self.end})


async def compensated_beside(world: World, end: OperationState) -> Run:
    """`first` fails while `second`, which was begun with it, has applied a revision and ends so."""
    services = world.fleet.services
    services["second"] = second = Interrupted(services["second"].address)
    second.end, second.other = end, services["first"]
    for service in services.values():
        service.current, service.applied = ["r1"], ["r1"]
    services["first"].fails_with, services["first"].polls_until_done = BROKEN, 10**9
    return await carried_out(world, services=["first", "second"], on_failure="compensate", max_parallel=2)


async def test_compensation_leaves_a_database_as_it_is_where_nobody_knows_how_it_stands(world: World) -> None:
    run = await compensated_beside(world, OperationState.NEEDS_ATTENTION)
    second = run.step("second")
    assert (run.state, second.state, second.undo) == ("needs_attention", "needs_attention", None)
    assert list(world.fleet.services["second"].operations) == ["r-1.second.1"]


async def test_compensation_also_takes_back_what_was_stopped_at_its_service(world: World) -> None:
    run = await compensated_beside(world, OperationState.CANCELLED)
    assert (run.state, run.step("second").state) == ("compensated", "reverted")
    assert world.fleet.services["second"].current == ["r1"]


async def test_compensation_also_takes_back_what_the_failed_step_had_applied(world: World) -> None:
    for service in world.fleet.services.values():
        service.history, service.current, service.applied = ["r1", "r2", "r3"], ["r1"], ["r1"]
    second = world.fleet.services["second"]
    second.fails_with, second.fails_after = BROKEN, 1

    life = world.life()
    await life.acceptance.accept(asked(on_failure="compensate"))
    begin = second.begin

    def heal_for_the_way_back(order: Any) -> Any:
        if order.action == "downgrade":
            second.fails_with = None
        return begin(order)

    second.begin = heal_for_the_way_back  # type: ignore[method-assign]
    await life.drive()
    run = await stored(world)
    assert run.state == "compensated"
    assert {service.current[0] for service in world.fleet.services.values()} == {"r1"}
    assert run.step("second").error is not None


async def test_a_canary_goes_first_and_its_failure_stops_the_rest_also_with_continue(world: World) -> None:
    world.fleet.services["second"].fails_with = BROKEN
    await carried_out(world, first=["second"], on_failure="continue")
    assert await steps(world) == {"audit": "succeeded", "first": "skipped", "second": "failed"}


async def test_after_each_wave_somebody_has_to_resume(world: World) -> None:
    life = world.life()
    await life.acceptance.accept(asked(first=["second"], pause_between="resume", max_parallel=2))
    await life.drive(most_timers=2)
    assert await steps(world) == {"audit": "succeeded", "first": "pending", "second": "pending"}
    assert (await stored(world)).state == "paused"
    await command(life, "resume", "c-1")
    await life.drive(most_timers=2)
    assert await steps(world) == {"audit": "succeeded", "first": "pending", "second": "succeeded"}
    await command(life, "resume", "c-2")
    await life.drive()
    assert (await stored(world)).state == "succeeded"


async def test_between_two_waves_a_run_waits_as_long_as_was_asked(world: World) -> None:
    life = world.life()
    await life.acceptance.accept(asked(pause_between=600))
    await life.drive(most_timers=2)
    run = await stored(world)
    assert (run.state, run.waiting and run.waiting.kind) == ("running", "wave")
    for _ in range(2):
        world.clock.at += timedelta(seconds=601)
        await life.drive(most_timers=2)
    assert (await stored(world)).state == "succeeded"


async def test_a_run_does_not_start_before_its_time(world: World) -> None:
    life = world.life()
    await life.acceptance.accept(asked(not_before="2026-01-02T00:00:00+01:00"))
    await life.drive(most_timers=2)
    run = await stored(world)
    assert (run.state, run.waiting and run.waiting.kind) == ("accepted", "not_before")
    world.clock.at += timedelta(days=1)
    await life.drive()
    assert (await stored(world)).state == "succeeded"


async def test_no_step_starts_after_the_deadline(world: World) -> None:
    life = world.life()
    await life.acceptance.accept(asked(deadline="2026-01-01T00:00:00Z"))
    await life.drive()
    run = await stored(world)
    assert (run.state, run.error and run.error.code) == ("failed", "CM-608")
    assert all(service.applied == [] for service in world.fleet.services.values())


async def test_runs_that_share_a_service_wait_in_the_order_of_acceptance(world: World) -> None:
    life = world.life()
    await life.acceptance.accept(asked(not_before="2026-01-01T01:00:00Z"))
    await life.acceptance.accept(read_request({"services": ["first"]}, default_request_id="r-2"))
    await life.acceptance.accept(read_request({"services": ["first"], "dry_run": True}, default_request_id="r-3"))
    await life.drive(most_timers=3)
    second = await stored(world, "r-2")
    assert (second.state, second.waiting and second.waiting.kind) == ("accepted", "queue")
    assert "r-1" in (second.waiting_for or "")
    assert (await stored(world, "r-3")).state == "planned"
    world.clock.at += timedelta(hours=1)
    await life.drive()
    assert "r-2.1" in world.workflows.woken
    assert [(await stored(world, name)).state.value for name in ("r-1", "r-2")] == ["succeeded", "succeeded"]


async def test_runs_of_different_services_go_side_by_side(world: World) -> None:
    life = world.life()
    first = {"services": ["first"], "not_before": "2026-01-01T01:00:00Z"}
    await life.acceptance.accept(read_request(first, default_request_id="r-1"))
    await life.acceptance.accept(read_request({"services": ["second"]}, default_request_id="r-2"))
    await life.drive(most_timers=3)
    assert (await stored(world, "r-2")).state == "succeeded"


async def test_a_downgrade_needs_an_approval_and_goes_the_other_way(world: World) -> None:
    for service in world.fleet.services.values():
        service.current, service.applied = ["r2"], ["r1", "r2"]
    life = world.life()
    request = {"services": ["first", "second"], "action": "downgrade", "target": {"first": "r1", "second": "r1"}}
    await life.acceptance.accept(read_request(request, default_request_id="r-1"), BOB)
    await life.drive(most_timers=2)
    run = await stored(world)
    assert (run.state, run.approval and [reason.value for reason in run.approval.because]) == (
        "awaiting_approval",
        ["downgrade"],
    )
    assert [step.service for step in run.steps] == ["second", "first"]
    await command(life, "approve", plan_digest=run.plan_digest)
    await life.drive()
    assert (await stored(world)).state == "succeeded"
    assert [world.fleet.services[name].current for name in ("first", "second")] == [["r1"], ["r1"]]


WINDOWED = """
[[windows]]
name = "nights"
weekdays = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
from = "22:00"
to = "23:00"
zone = "UTC"
services = ["first"]
reason = "the desk works by day"
"""


async def test_a_step_waits_for_the_window_of_its_service_and_the_others_do_not() -> None:
    world = World(catalog=read_catalog(CATALOG + WINDOWED))
    life = world.life()
    await life.acceptance.accept(asked())
    await life.drive(most_timers=2)
    assert await steps(world) == {"audit": "succeeded", "first": "pending", "second": "succeeded"}
    run = await stored(world)
    assert run.waiting is not None
    assert (run.waiting.kind, run.waiting.until and run.waiting.until.hour) == ("window", 22)
    assert "nights" in run.waiting.sentence
    world.clock.at = run.waiting.until or world.clock.at
    await life.drive()
    assert (await stored(world)).state == "succeeded"
