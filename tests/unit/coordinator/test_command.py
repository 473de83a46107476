"""The conversation with one service: what counts as an answer, what as a no, and what only as silence."""

from datetime import timedelta
from typing import Any

import pytest

from coordinator import command
from coordinator.command import GRACE
from coordinator.domain.outcome import read_outcome
from coordinator.domain.request import read_request
from coordinator.domain.run import Run
from coordinator.domain.step import Step
from coordinator.outages import ServiceLied, ServiceRefused, ServiceUnreachable, SidecarUnreachable
from migration_sidecar.messages import Action, Operation, OperationState, Problem
from tests.unit.coordinator.fakes import HISTORY, START, World


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "PAUSE_SECONDS", 0)


def problem(code: str = "CM-404", **facts: Any) -> Problem:
    return Problem(code=code, title="t", detail="because of it.", next_step="n", **facts)


def operation(**facts: Any) -> Operation:
    start: dict[str, Any] = {
        "operation_id": "r-1.first.1",
        "service": "first",
        "database": "first_db",
        "action": Action.UPGRADE,
        "target": "head",
        "state": OperationState.RUNNING,
        "accepted_at": START,
    }
    return Operation(**{**start, **facts})


async def carried_out(world: World, *answers: Operation | Exception, most_timers: int = 100) -> Run:
    world.fleet.services["first"].answers = list(answers)
    life = world.life()
    await life.acceptance.accept(read_request({"services": ["first"]}, default_request_id="r-1"))
    await life.drive(most_timers)
    run = await life.runs.read("r-1")
    assert run is not None
    return run


@pytest.mark.parametrize(
    "silence",
    [
        ServiceUnreachable("first", "it is gone"),
        SidecarUnreachable("ConnectError"),
        ServiceLied("first", "nonsense"),
        ServiceRefused("first", 503, problem(retryable=True)),
        ServiceRefused("first", 500, problem()),
        ServiceRefused("first", 404, problem()),
        ServiceRefused("first", 429, problem()),
        ServiceRefused("first", 409, problem(retryable=True)),
    ],
)
async def test_no_answer_is_not_a_failure(world: World, silence: Exception) -> None:
    run = await carried_out(world, silence, operation(), silence, silence)
    assert run.steps[0].state == "succeeded"
    assert world.fleet.services["first"].applied == HISTORY


@pytest.mark.parametrize("status", [400, 409, 413, 422])
async def test_a_clear_no_ends_the_step_with_the_services_own_reason(world: World, status: int) -> None:
    run = await carried_out(world, ServiceRefused("first", status, problem("CM-203")))
    assert run.steps[0].state == "failed"
    assert run.steps[0].error == problem("CM-203", service="first")
    assert run.steps[0].to_revisions == []


async def test_a_refused_step_is_recorded_where_the_database_is_and_not_where_it_was_to_go(world: World) -> None:
    world.fleet.services["first"].current = ["r1"]
    run = await carried_out(world, ServiceRefused("first", 422, problem("CM-203")))
    assert (run.steps[0].state, run.steps[0].to_revisions) == ("failed", ["r1"])


async def test_a_plan_that_changed_because_somebody_was_faster_is_no_failure(world: World) -> None:
    service = world.fleet.services["first"]
    original = service.begin

    def refuse(order: Any) -> Operation:
        service.current = ["r2"]
        raise ServiceRefused("first", 409, problem("CM-206"))

    service.begin = refuse  # type: ignore[method-assign]
    run = await carried_out(world)
    assert original is not None
    assert (run.steps[0].state, run.steps[0].to_revisions, run.state) == ("unchanged", ["r2"], "succeeded")


async def test_an_operation_the_service_holds_under_other_limits_is_waited_for(world: World) -> None:
    service = world.fleet.services["first"]
    service.operations["r-1.first.1"] = operation()
    run = await carried_out(world, ServiceRefused("first", 409, problem("CM-601")))
    assert run.steps[0].state == "succeeded"


@pytest.mark.parametrize(
    "lie",
    [
        operation(operation_id="other", state=OperationState.SUCCEEDED, current_revisions=["r2"]),
        operation(service="second", state=OperationState.SUCCEEDED, current_revisions=["r2"]),
        operation(database="second_db", state=OperationState.FAILED),
        operation(state=OperationState.SUCCEEDED, current_revisions=["r1"]),
        operation(state=OperationState.SUCCEEDED),
    ],
)
async def test_an_answer_that_cannot_be_true_decides_nothing(world: World, lie: Operation) -> None:
    step = Step(service="first", database="first_db", operation_id="r-1.first.1", to_revisions=["r2"])
    with pytest.raises(ServiceLied):
        read_outcome(step, lie)
    run = await carried_out(world, lie)
    assert run.steps[0].state == "succeeded"
    assert world.fleet.services["first"].applied == HISTORY


async def test_a_service_that_stays_silent_ends_as_needs_attention_and_never_as_failed(world: World) -> None:
    silence = ServiceUnreachable("first", "it is gone")
    service = world.fleet.services["first"]

    def late(order: Any) -> Operation:
        world.clock.at += timedelta(hours=1) + GRACE
        raise silence

    service.begin = late  # type: ignore[method-assign]
    run = await carried_out(world)
    assert (run.steps[0].state, run.state) == ("needs_attention", "needs_attention")
    assert run.steps[0].error is not None
    assert run.steps[0].error.code == "CM-803"
    assert "it is gone" in run.steps[0].error.detail
    assert run.steps[0].to_revisions == []


async def test_what_a_step_waits_for_stands_in_the_record(world: World) -> None:
    waiting = operation(waiting_for="table orders, held by pid 4711")
    world.fleet.services["first"].polls_until_done = 10**9
    seen: list[str | None] = []
    life = world.life()
    await life.acceptance.accept(read_request({"services": ["first"]}, default_request_id="r-1"))
    world.fleet.services["first"].answers = [waiting, ServiceRefused("first", 422, problem())]
    original = life.runs.change

    async def watch(request_id: str, change: Any) -> Run:
        run = await original(request_id, change)
        seen.extend(step.waiting_for for step in run.steps)
        return run

    life.runs.change = watch  # type: ignore[method-assign]
    await life.drive()
    assert "table orders, held by pid 4711" in seen


async def test_the_other_ends_of_an_operation_become_the_steps(world: World) -> None:
    assert (await carried_out(world, operation(state=OperationState.CANCELLED))).state == "cancelled"


async def test_what_only_a_person_can_tell_needs_attention(world: World) -> None:
    run = await carried_out(world, operation(state=OperationState.NEEDS_ATTENTION, error=problem("CM-402")))
    assert run.state == "needs_attention"
    assert run.error == problem("CM-402")
