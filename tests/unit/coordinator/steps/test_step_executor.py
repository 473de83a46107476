"""The conversation with one service: what counts as an answer, what as a no, and what only as silence."""

from datetime import timedelta
from typing import Any

import pytest

from coordinator.domain.outcome import read_outcome
from coordinator.domain.reconciliation.run_matching import RunMatcher
from coordinator.domain.request import read_request
from coordinator.domain.run import Run
from coordinator.domain.step import Step
from coordinator.errors import ServiceLied
from coordinator.steps import step_executor
from coordinator.steps.silence_timer import MAX_QUESTION_SECONDS, SilenceTimer
from coordinator.steps.step_executor import DEADLINE_MARGIN
from coordinator.unavailable import ServiceRefused, ServiceUnreachable, SidecarUnreachable
from migration_sidecar.contract.messages import (
    Action,
    AppliedRevision,
    Operation,
    OperationState,
    Problem,
    RecordedAuditEvent,
)
from tests.unit.coordinator.fakes import HISTORY, START, World


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_executor, "PAUSE_SECONDS", 0)


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


@pytest.mark.parametrize("other", [{"target": "r1"}, {"action": Action.DOWNGRADE}])
async def test_an_operation_of_somebody_else_under_this_id_is_not_taken_for_ours(
    world: World, other: dict[str, Any]
) -> None:
    world.fleet.services["first"].operations["r-1.first.1"] = operation(**other)
    run = await carried_out(world, ServiceRefused("first", 409, problem("CM-601")))
    # Failed, or unchanged where the other operation has brought the database to our target.
    assert run.steps[0].state in ("failed", "unchanged")
    assert run.steps[0].applied == []


async def test_a_service_that_does_not_say_whose_operation_it_has_is_asked_again(world: World) -> None:
    world.fleet.services["first"].operations["r-1.first.1"] = operation()
    conflict = ServiceRefused("first", 409, problem("CM-601"))
    run = await carried_out(world, conflict, ServiceUnreachable("first", "it is gone"), conflict)
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


def silent_for(world: World, seconds_per_question: float, answer: Exception | Operation) -> None:
    """Every question to the first service takes that long, and ends without anything believable."""
    service = world.fleet.services["first"]

    def late(_: Any) -> Operation:
        world.seconds += seconds_per_question
        if isinstance(answer, Exception):
            raise answer
        return answer

    service.begin = late  # type: ignore[method-assign]


async def test_a_service_that_stays_silent_ends_as_needs_attention_and_never_as_failed(world: World) -> None:
    silent_for(world, 20, ServiceUnreachable("first", "it is gone"))
    run = await carried_out(world)
    assert (run.steps[0].state, run.state) == ("needs_attention", "needs_attention")
    assert run.steps[0].error is not None
    assert run.steps[0].error.code == "CM-803"
    assert "it is gone" in run.steps[0].error.detail
    assert run.steps[0].to_revisions == []
    assert world.seconds == pytest.approx((timedelta(hours=1) + DEADLINE_MARGIN).total_seconds(), abs=40)


def test_an_answer_ends_the_silence_before_it() -> None:
    seconds = iter([20.0, 60.0, 100.0])
    patience = SilenceTimer(lambda: next(seconds))
    assert patience.unanswered("op", 0.0, pause=1.0, inconsistent=False).silent == 21
    assert patience.unanswered("op", 40.0, pause=1.0, inconsistent=False).silent == 42
    patience.answered("op")
    assert patience.unanswered("op", 80.0, pause=1.0, inconsistent=False).silent == 21


@pytest.mark.parametrize("hours", [2, 24 * 365, -26])
async def test_time_in_which_nobody_asked_is_no_silence(world: World, hours: int) -> None:
    """Stopped in mid-run and started again, a laptop that was closed, a clock that was set: then one lost answer."""
    first = world.life()
    await first.acceptance.accept(read_request({"services": ["first"]}, default_request_id="r-1"))
    service = world.fleet.services["first"]
    began = service.begin

    def then_the_clock_jumps(order: Any) -> Operation:
        world.clock.at += timedelta(hours=hours)
        service.begin = began  # type: ignore[method-assign]
        raise ServiceUnreachable("first", "it comes up later")

    service.begin = then_the_clock_jumps  # type: ignore[method-assign]
    await world.life().drive()
    run = await first.runs.read("r-1")
    assert run is not None
    assert run.steps[0].state == "succeeded"
    assert (run.steps[0].duration_ms or 0) >= 0


def test_a_process_that_stood_still_counts_no_more_than_one_question() -> None:
    patience = SilenceTimer(lambda: 10 * 3600)
    assert patience.unanswered("op", 0.0, pause=1.0, inconsistent=False).silent == MAX_QUESTION_SECONDS + 1


def test_a_doubt_about_an_operation_whose_end_another_process_learnt_is_not_kept_for_ever() -> None:
    seconds = 0.0
    patience = SilenceTimer(lambda: seconds)
    for number in range(1000):
        seconds = number * 600.0
        patience.unanswered(f"r-{number}.first.1", seconds, pause=1, inconsistent=False)
    assert len(patience._unanswered) <= 10


async def test_a_lie_that_is_repeated_ends_within_minutes_and_is_called_a_lie(world: World) -> None:
    lie = operation(state=OperationState.SUCCEEDED, current_revisions=["elsewhere"])
    silent_for(world, 5, lie)
    run = await carried_out(world)
    assert (run.steps[0].state, run.steps[0].to_revisions) == ("needs_attention", [])
    assert run.steps[0].error is not None
    assert run.steps[0].error.code == "CM-801"
    assert world.seconds <= 130


async def test_what_a_step_waits_for_stands_in_the_record(world: World) -> None:
    waiting = operation(waiting_for="table orders, held by pid 4711")
    world.fleet.services["first"].polls_until_done = 10**9
    seen: list[str | None] = []
    life = world.life()
    await life.acceptance.accept(read_request({"services": ["first"]}, default_request_id="r-1"))
    world.fleet.services["first"].answers = [waiting, ServiceRefused("first", 422, problem())]
    original = life.runs.update

    async def watch(request_id: str, change: Any) -> Run:
        run = await original(request_id, change)
        seen.extend(step.waiting_for for step in run.steps)
        return run

    life.runs.update = watch  # type: ignore[method-assign]
    await life.drive()
    assert "table orders, held by pid 4711" in seen


async def test_the_other_ends_of_an_operation_become_the_steps(world: World) -> None:
    assert (await carried_out(world, operation(state=OperationState.CANCELLED))).state == "cancelled"


async def test_what_only_a_person_can_tell_needs_attention(world: World) -> None:
    run = await carried_out(world, operation(state=OperationState.NEEDS_ATTENTION, error=problem("CM-402")))
    assert run.state == "needs_attention"
    assert run.error == problem("CM-402")


def taken_further(world: World, *, applied_by_us: list[str], to: str = "r4") -> None:
    """The operation of a run to r2 gets its turn, or is read, when somebody else has gone on to r4."""
    service = world.fleet.services["first"]
    service.history = ["r1", "r2", "r3", "r4", "r5"]
    service.current = ["r1"]

    def ended(order: Any) -> Operation:
        service.current = [to]
        return operation(
            state=OperationState.SUCCEEDED,
            target="r2",
            from_revisions=["r1"],
            current_revisions=["r4"],
            applied=[
                AppliedRevision(revision=one, action=Action.UPGRADE, at=START, duration_ms=1) for one in applied_by_us
            ],
        )

    service.begin = ended  # type: ignore[method-assign]


async def to_r2(world: World) -> Run:
    life = world.life()
    body = {"services": ["first"], "target": {"first": "r2"}}
    await life.acceptance.accept(read_request(body, default_request_id="r-1"))
    await life.drive()
    run = await life.runs.read("r-1")
    assert run is not None
    return run


@pytest.mark.parametrize(("applied_by_us", "state"), [([], "unchanged"), (["r2"], "succeeded")])
@pytest.mark.parametrize("now_at", ["r4", "r5"])
async def test_a_database_beyond_the_target_is_told_as_found_and_not_as_a_lie(
    world: World, applied_by_us: list[str], state: str, now_at: str
) -> None:
    taken_further(world, applied_by_us=applied_by_us, to=now_at)
    run = await to_r2(world)
    step = run.steps[0]
    assert (step.state, run.state, step.to_revisions) == (state, "succeeded", [now_at])
    assert step.remark == f"The database is at {now_at}, beyond r2, because somebody else migrated it too."
    assert (step.error, run.error, step.waiting_for) == (None, None, None)


async def test_the_audit_and_the_topic_say_unchanged_of_a_step_that_applied_nothing(world: World) -> None:
    taken_further(world, applied_by_us=[])
    await to_r2(world)
    told = [event for event in world.audit.events.values() if event.event_type == "migration.step_finished"]
    assert [(event.outcome, event.to_revision) for event in told] == [("unchanged", "r4")]


@pytest.mark.parametrize("to", ["r1", "r2", "r3"])
async def test_a_service_that_only_says_that_it_is_beyond_is_a_liar(world: World, to: str) -> None:
    """Its plan, which reads the database anew, still finds something to do."""
    taken_further(world, applied_by_us=[], to=to)
    service = world.fleet.services["first"]
    lies = service.begin

    def late(order: Any) -> Operation:
        world.seconds += 20
        return lies(order)

    service.begin = late  # type: ignore[method-assign]
    run = await to_r2(world)
    assert (run.steps[0].state, run.steps[0].to_revisions) == ("needs_attention", [])
    assert run.steps[0].error is not None
    assert run.steps[0].error.code == "CM-801"


async def test_an_operation_that_found_nothing_to_do_leaves_the_step_unchanged(world: World) -> None:
    """Two runs planned the same; the second one's operation gets its turn when the first one's has ended."""
    there = operation(state=OperationState.SUCCEEDED, from_revisions=["r2"], current_revisions=["r2"])
    run = await carried_out(world, there)
    step = run.steps[0]
    assert (step.state, run.state, step.applied, step.to_revisions) == ("unchanged", "succeeded", [], ["r2"])
    assert step.remark is None


async def test_a_record_of_an_older_release_that_succeeded_with_nothing_applied_stays_readable(world: World) -> None:
    run = await carried_out(world)
    old = run.model_dump(mode="json")
    old["steps"][0] |= {"state": "succeeded", "applied": []}
    assert "remark" not in old["steps"][0]
    assert Run.model_validate(old).steps[0].state == "succeeded"


@pytest.mark.parametrize("applied_by_us", [[], ["r2"]])
async def test_the_audit_and_the_record_agree_on_what_somebody_else_did(world: World, applied_by_us: list[str]) -> None:
    taken_further(world, applied_by_us=applied_by_us)
    run = await to_r2(world)
    compared = RunMatcher()
    compared.add_run(run, owed=False)
    for seq, event in enumerate(world.audit.events.values(), start=1):
        compared.add_audit_event(RecordedAuditEvent(**event.model_dump(), seq=seq, recorded_at=START))
    assert list(compared.gaps()) == []
