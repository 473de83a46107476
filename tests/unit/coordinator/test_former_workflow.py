"""What the workflow of releases before 0.3 orders, with the answers sent in by hand: their histories still replay."""

from datetime import timedelta
from typing import Any

from coordinator.domain.step import StepState
from coordinator.workflow.current import migrate
from coordinator.workflow.former import ROUNDS_PER_HISTORY, RunSchedule, ScheduledStep
from tests.unit.coordinator.fakes import Context


def leg(service: str, *after: str, state: StepState = StepState.PENDING) -> ScheduledStep:
    return ScheduledStep(service=service, after=list(after), state=state)


def course(*legs: ScheduledStep, max_parallel: int = 1) -> dict[str, Any]:
    return RunSchedule(legs=list(legs), max_parallel=max_parallel).model_dump(mode="json")


def report(service: str, state: StepState, again_after_seconds: float = 0) -> dict[str, Any]:
    return {"service": service, "state": state.value, "again_after_seconds": again_after_seconds}


class Talk:
    """Sends answers into the workflow and keeps what it ordered."""

    def __init__(self) -> None:
        self.context = Context(patched=False)
        self.generator = migrate(self.context, {"request_id": "r"})  # type: ignore[arg-type]
        self.ordered: Any = next(self.generator)
        self.over = False

    def answer(self, answer: Any) -> Any:
        try:
            self.ordered = self.generator.send(answer)
        except StopIteration:
            self.over, self.ordered = True, None
        return self.ordered


def carry_out(service: str) -> tuple[str, dict[str, str]]:
    return ("carry_out", {"request_id": "r", "service": service})


FINISH = ("finish", {"request_id": "r"})


def test_it_plans_then_takes_one_step_after_the_other_then_finishes() -> None:
    talk = Talk()
    assert talk.ordered == ("make_plan", {"request_id": "r"})
    assert talk.answer(course(leg("a"), leg("b", "a"))) == carry_out("a")
    assert talk.answer(report("a", StepState.SUCCEEDED)) == carry_out("b")
    assert talk.answer(report("b", StepState.SUCCEEDED)) == FINISH
    talk.answer({"settled": True})
    assert talk.over


def test_steps_that_are_at_their_target_are_not_ordered() -> None:
    talk = Talk()
    assert talk.answer(course(leg("a", state=StepState.UNCHANGED), leg("b", "a", state=StepState.UNCHANGED))) == FINISH


def test_a_run_that_was_over_before_is_only_finished() -> None:
    talk = Talk()
    assert talk.answer(RunSchedule(legs=[leg("a")], ended=True).model_dump(mode="json")) == FINISH


def test_a_failed_step_stops_the_rest() -> None:
    talk = Talk()
    talk.answer(course(leg("a"), leg("b")))
    assert talk.answer(report("a", StepState.FAILED)) == FINISH


def test_a_running_step_is_asked_again_at_once_because_the_activity_has_waited() -> None:
    talk = Talk()
    talk.answer(course(leg("a"), leg("b")))
    assert talk.answer(report("a", StepState.RUNNING)) == carry_out("a")
    assert talk.answer(report("a", StepState.SUCCEEDED)) == carry_out("b")


def test_a_step_that_could_not_begin_is_tried_again_after_a_pause() -> None:
    talk = Talk()
    talk.answer(course(leg("a")))
    assert talk.answer(report("a", StepState.PENDING, 2)) == ("timer", timedelta(seconds=2))
    assert talk.answer(None) == carry_out("a")


def test_a_wave_holds_services_that_do_not_wait_for_each_other() -> None:
    talk = Talk()
    legs = [leg("a", state=StepState.UNCHANGED), leg("b", "a"), leg("c", "b"), leg("d", "a")]
    assert talk.answer(course(*legs, max_parallel=3)) == [carry_out("b"), carry_out("d")]
    answers = [report("b", StepState.SUCCEEDED), report("d", StepState.RUNNING)]
    assert talk.answer(answers) == [carry_out("d"), carry_out("c")]


def test_when_one_of_a_wave_fails_the_others_are_seen_to_their_end() -> None:
    talk = Talk()
    talk.answer(course(leg("a"), leg("b"), leg("c"), max_parallel=2))
    assert talk.answer([report("a", StepState.FAILED), report("b", StepState.RUNNING)]) == carry_out("b")
    assert talk.answer(report("b", StepState.SUCCEEDED)) == FINISH


def test_finishing_is_repeated_until_everybody_was_told() -> None:
    talk = Talk()
    talk.answer(course())
    assert talk.answer({"settled": False}) == ("timer", timedelta(seconds=2))
    assert talk.answer(None) == FINISH


def test_a_long_wait_goes_on_in_a_fresh_history() -> None:
    talk = Talk()
    talk.answer(course(leg("a")))
    for _ in range(ROUNDS_PER_HISTORY - 1):
        assert talk.answer(report("a", StepState.RUNNING)) == carry_out("a")
    talk.answer(report("a", StepState.RUNNING))
    assert talk.over
    assert talk.context.again == {"request_id": "r"}
    assert not talk.context.keeps_events


def test_what_their_activities_say_today_ends_that_workflow_wherever_it_is() -> None:
    """They have handed the run over; see activities.py."""
    talk = Talk()
    assert talk.answer(RunSchedule(legs=[], ended=True).model_dump(mode="json")) == FINISH
    talk.answer({"settled": True})
    assert talk.over
    talk = Talk()
    talk.answer(course(leg("a"), leg("b"), leg("c", "a"), max_parallel=2))
    assert talk.answer([report("a", StepState.SKIPPED), report("b", StepState.RUNNING)]) == carry_out("b")
    assert talk.answer(report("b", StepState.SKIPPED)) == FINISH
    talk.answer({"settled": True})
    assert talk.over
