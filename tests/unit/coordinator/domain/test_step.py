"""The table of moves is the whole truth about where a step may go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.domain import run_state
from coordinator.domain.run_state import RunState, end_of
from coordinator.domain.step import MOVES, Step, StepState, Undo
from coordinator.errors import IllegalMove
from migration_sidecar.contract.messages import Action, AppliedRevision
from tests.unit.coordinator.fakes import START

REVERTED, NEEDS_ATTENTION = StepState.REVERTED, StepState.NEEDS_ATTENTION
# What compensation and a retry may do with a step that has ended; every other end is for ever.
AFTER_THE_END = {
    StepState.SUCCEEDED: {REVERTED, NEEDS_ATTENTION},
    StepState.FAILED: {REVERTED, NEEDS_ATTENTION, StepState.PENDING},
    StepState.CANCELLED: {REVERTED, NEEDS_ATTENTION},
    StepState.SKIPPED: {StepState.PENDING},
    StepState.NEEDS_ATTENTION: {StepState.PENDING},
}


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
def test_a_finished_step_never_moves_again_except_that_it_is_taken_back_or_tried_again(state: StepState) -> None:
    assert MOVES[state] == AFTER_THE_END.get(state, frozenset())


@pytest.mark.parametrize("state", [state for state in StepState if state.at_target])
def test_no_retry_begins_a_step_again_that_is_at_its_target(state: StepState) -> None:
    assert not MOVES[state] & {StepState.PENDING, StepState.RUNNING}


@pytest.mark.parametrize("state", [state for state in RunState if state.terminal])
def test_a_finished_run_never_moves_again_except_that_a_retry_accepts_it_once_more(state: RunState) -> None:
    again = {RunState.ACCEPTED} if state in (RunState.FAILED, RunState.NEEDS_ATTENTION) else set()
    assert run_state.MOVES[state] == again


def test_every_state_of_a_run_can_be_reached_from_accepted() -> None:
    reached = {RunState.ACCEPTED}
    while more := {new for old in reached for new in run_state.MOVES[old]} - reached:
        reached |= more
    assert reached == set(RunState)


def test_a_step_that_is_planned_again_keeps_what_it_did_and_gets_another_operation() -> None:
    applied = [AppliedRevision(revision="r1", action=Action.UPGRADE, at=START, duration_ms=1)]
    failed = Step(service="s", database="d", state=StepState.FAILED, operation_id="r.s.1", applied=applied)
    again = failed.planned_again(2)
    assert (again.state, again.applied_before, again.applied) == (StepState.PENDING, applied, applied)
    assert (again.finished_at, again.started_at, again.error, again.round) == (None, None, None, 2)
    assert [step.next_operation_id("r") for step in (Step(service="s", database="d"), again)] == ["r.s.1", "r.s.2"]


def test_the_way_back_of_a_step_counts_among_its_operations() -> None:
    undo = Undo(operation_id="r.s.2", to_revisions=[])
    step = Step(service="s", database="d", operation_id="r.s.1", undo=undo)
    assert step.next_operation_id("r") == "r.s.3"


def test_the_record_of_a_step_that_nothing_special_happened_to_is_as_earlier_releases_wrote_it() -> None:
    document = Step(service="s", database="d").model_dump(mode="json")
    assert {"applied_before", "undo", "remark", "round", "beside_other_tables"}.isdisjoint(document)


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
