"""The table of moves is the whole truth about where a step may go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.domain import run_state
from coordinator.domain.run_state import RunState, end_of
from coordinator.domain.step import MOVES, Step, StepState
from coordinator.errors import IllegalMove

AFTER_SUCCESS = {StepState.REVERTED, StepState.NEEDS_ATTENTION}


@given(st.sampled_from(StepState), st.sampled_from(StepState))
def test_a_step_moves_as_the_table_says_and_in_no_other_way(old: StepState, new: StepState) -> None:
    step = Step(service="s", database="d", state=old)
    if new in MOVES[old]:
        assert step.moved(new).state is new
    else:
        with pytest.raises(IllegalMove, match=f"{old} and cannot become {new}"):
            step.moved(new)


def test_both_tables_name_every_state() -> None:
    assert set(MOVES) == set(StepState)
    assert set(run_state.MOVES) == set(RunState)


@pytest.mark.parametrize("state", [state for state in StepState if state.ended])
def test_a_finished_step_never_moves_again_except_that_a_success_can_be_taken_back(state: StepState) -> None:
    assert MOVES[state] == (AFTER_SUCCESS if state is StepState.SUCCEEDED else frozenset())


def test_every_state_can_be_reached_from_pending() -> None:
    reached = {StepState.PENDING}
    while more := {new for old in reached for new in MOVES[old]} - reached:
        reached |= more
    assert reached == set(StepState)


def test_exactly_the_ends_of_a_run_are_terminal() -> None:
    going_on = {RunState.ACCEPTED, RunState.AWAITING_APPROVAL, RunState.RUNNING, RunState.PAUSED}
    assert {state for state in RunState if not state.terminal} == going_on


@given(st.lists(st.sampled_from([state for state in StepState if state.ended])))
def test_a_run_succeeds_only_when_every_step_is_at_its_target(states: list[StepState]) -> None:
    assert (end_of(states) is RunState.SUCCEEDED) == all(state.at_target for state in states)


def test_the_worst_step_names_the_end() -> None:
    assert end_of([StepState.FAILED, StepState.NEEDS_ATTENTION, StepState.SKIPPED]) is RunState.NEEDS_ATTENTION
    assert end_of([StepState.SUCCEEDED, StepState.FAILED, StepState.SKIPPED]) is RunState.FAILED
    assert end_of([StepState.SUCCEEDED, StepState.CANCELLED]) is RunState.CANCELLED
