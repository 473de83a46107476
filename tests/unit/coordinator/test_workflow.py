"""What the workflow orders, turn by turn, with the answers sent in by hand."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from coordinator.driver.turn import AGAIN, OVER, Turn
from coordinator.workflow.current import TURNS_PER_HISTORY, command_of, migrate
from tests.unit.coordinator.fakes import Context

COMMAND = {"request_id": "r", "generation": 2}
DRIVE = ("drive", COMMAND)


class Talk:
    """Sends answers into the workflow and keeps what it ordered."""

    def __init__(self, command: dict[str, Any] | None = None) -> None:
        self.context = Context()
        self.generator = migrate(self.context, command or COMMAND)  # type: ignore[arg-type]
        self.ordered: Any = next(self.generator)
        self.over = False

    def turn(self, turn: Turn) -> Any:
        return self._after(lambda: self.generator.send(turn.document()))

    def wake(self) -> Any:
        return self._after(lambda: self.generator.send(None))

    def time_is_up(self) -> Any:
        return self._after(lambda: self.generator.throw(TimeoutError("nobody woke it")))

    def _after(self, step: Any) -> Any:
        try:
            self.ordered = step()
        except StopIteration:
            self.over, self.ordered = True, None
        return self.ordered


def wait(seconds: float) -> tuple[str, timedelta]:
    return ("wait", timedelta(seconds=seconds))


def test_it_has_the_run_driven_until_that_says_that_it_is_over() -> None:
    talk = Talk()
    assert talk.ordered == DRIVE
    assert talk.turn(AGAIN) == DRIVE
    assert talk.turn(AGAIN) == DRIVE
    talk.turn(OVER)
    assert talk.over
    assert talk.context.again is None


@pytest.mark.parametrize("command", [{"request_id": "r"}, {"request_id": "r", "generation": 7}])
def test_each_turn_is_ordered_for_the_run_and_the_generation_that_it_was_started_with(command: dict[str, Any]) -> None:
    talk = Talk(command)
    assert talk.ordered == ("drive", command)
    assert talk.turn(AGAIN) == ("drive", command)


def test_a_turn_that_waited_itself_is_followed_by_the_next_one_at_once() -> None:
    """There is no timer in between: the activity returns when there is something to do, or after 20 seconds."""
    talk = Talk()
    assert talk.turn(Turn(wait_seconds=0)) == DRIVE


def test_where_nothing_can_be_done_it_waits_as_long_as_the_turn_says() -> None:
    talk = Talk()
    assert talk.turn(Turn(wait_seconds=2)) == wait(2)
    assert talk.time_is_up() == DRIVE
    assert talk.turn(Turn(wait_seconds=0.5)) == wait(0.5)


def test_somebody_who_wakes_it_ends_the_wait() -> None:
    talk = Talk()
    assert talk.turn(Turn(wait_seconds=30)) == wait(30)
    assert talk.wake() == DRIVE


def test_a_run_that_is_over_is_not_waited_for() -> None:
    talk = Talk()
    talk.turn(Turn(over=True, wait_seconds=30))
    assert talk.over


def test_a_failed_turn_fails_the_workflow_only_after_all_its_repeats() -> None:
    """Run recovery then starts the next generation; nothing is caught here."""
    talk = Talk()
    with pytest.raises(RuntimeError, match="thirty times"):
        talk.generator.throw(RuntimeError("it failed thirty times"))


@pytest.mark.parametrize("held", [False, True], ids=["at work", "held"])
def test_a_long_run_goes_on_in_a_fresh_history_with_the_same_command(held: bool) -> None:
    talk = Talk()
    for number in range(TURNS_PER_HISTORY):
        assert (talk.ordered, talk.over) == (DRIVE, False), number
        talk.turn(Turn(wait_seconds=30) if held else AGAIN)
        if held:
            assert talk.ordered == wait(30)
            talk.time_is_up()
    assert talk.over
    assert talk.context.again == COMMAND


def test_who_wakes_it_between_two_histories_wakes_the_next_one() -> None:
    talk = Talk()
    for _ in range(TURNS_PER_HISTORY):
        talk.turn(AGAIN)
    assert talk.context.keeps_events


@pytest.mark.parametrize(
    ("instance_id", "command"),
    [
        ("r-1.1", {"request_id": "r-1", "generation": 1}),
        ("r-1.12", {"request_id": "r-1", "generation": 12}),
        ("r-1", {"request_id": "r-1"}),
    ],
)
def test_an_instance_is_told_its_run_and_its_generation_and_one_of_the_first_releases_its_run_only(
    instance_id: str, command: dict[str, Any]
) -> None:
    assert command_of(instance_id) == command
