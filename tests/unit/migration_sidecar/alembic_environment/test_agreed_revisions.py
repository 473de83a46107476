"""What an operation was accepted to do stays the same, whatever the files mean by then."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from migration_sidecar.alembic_environment.agreed_revisions import AgreedPlan
from migration_sidecar.contract.errors import PlanChanged, ProblemError, RevisionNotApplied
from migration_sidecar.contract.messages import Action
from tests.unit.migration_sidecar.alembic_environment.test_agreement_with_alembic import (
    alembics,
    carried_out,
    graphs,
    rows_of,
)
from tests.unit.migration_sidecar.alembic_environment.test_history import Graph, history, ids

LINE: Graph = {"a1": ((), ()), "a2": (("a1",), ()), "a3": (("a2",), ())}
SHORT = {name: LINE[name] for name in ("a1", "a2")}


def agreed_on(graph: Graph, action: Action, rows: tuple[str, ...], target: str) -> AgreedPlan:
    try:
        return AgreedPlan.by(history(graph), action, rows, target)
    except ProblemError:
        assume(False)
        raise


@st.composite
def grown(draw: st.DrawFn) -> tuple[Graph, Graph]:
    """A history, and what became of it when more files came: any file builds only on those before it."""
    later = draw(graphs())
    number = draw(st.integers(1, len(later)))
    return dict(list(later.items())[:number]), later


@settings(max_examples=100)
@given(data=st.data(), both=grown())
def test_files_that_come_change_nothing_of_an_upgrade(data: st.DataObject, both: tuple[Graph, Graph]) -> None:
    before, later = both
    rows = rows_of(history(before), data.draw(st.sets(st.sampled_from(sorted(before)))))
    target = data.draw(st.sampled_from([*sorted(before), "head", "heads"]))
    agreed = agreed_on(before, Action.UPGRADE, rows, target)
    steps = [each.id for each in agreed.revisions]
    assert set(ids(agreed.remaining(history(later), rows))) == set(steps)
    assert agreed.remaining(history(later), agreed.to_revisions) == []
    assert agreed.is_reached(agreed.to_revisions) == bool(steps)
    assert not agreed.is_reached(rows)
    assert agreed.undone(rows, ()) == steps
    assert agreed.undone(rows, steps) == []


@settings(max_examples=100)
@given(data=st.data(), both=grown())
def test_alembic_goes_where_was_agreed_and_no_further(data: st.DataObject, both: tuple[Graph, Graph]) -> None:
    before, later = both
    rows = rows_of(history(before), data.draw(st.sets(st.sampled_from(sorted(before)))))
    agreed = agreed_on(before, Action.UPGRADE, rows, data.draw(st.sampled_from([*sorted(before), "head", "heads"])))
    assume(agreed.revisions)
    passed, left = carried_out(alembics(later, {}), rows, Action.UPGRADE, tuple(agreed.goals))  # type: ignore[arg-type]
    assert set(passed) == {each.id for each in agreed.revisions}
    assert left == agreed.to_revisions


@settings(max_examples=100)
@given(data=st.data(), both=grown())
def test_files_that_come_change_nothing_of_a_downgrade(data: st.DataObject, both: tuple[Graph, Graph]) -> None:
    before, later = both
    known = history(before)
    rows = rows_of(known, data.draw(st.sets(st.sampled_from(sorted(before)), min_size=1)))
    target = data.draw(st.sampled_from([*sorted(known.ancestors(rows)), "base"]))
    agreed = agreed_on(before, Action.DOWNGRADE, rows, target)
    steps = [each.id for each in agreed.revisions]
    assert set(ids(agreed.remaining(history(later), rows))) == set(steps)
    assert agreed.is_reached(agreed.to_revisions) == bool(steps)
    assert agreed.undone(rows, steps) == []


def test_a_database_that_went_further_is_beyond_what_was_agreed() -> None:
    agreed = AgreedPlan.by(history(SHORT), Action.UPGRADE, ["a1"], "head")
    assert agreed.remaining(history(LINE), ["a3"]) == []
    assert agreed.remaining(history(LINE), []) == [history(LINE).revisions[each] for each in ("a1", "a2")]


def test_one_that_had_nothing_to_do_keeps_its_own_target() -> None:
    agreed = AgreedPlan.by(history(LINE), Action.UPGRADE, ["a3"], "a2")
    assert (agreed.goals, agreed.revisions, agreed.is_reached(["a3"])) == (["a2"], [], False)
    assert ids(agreed.remaining(history(LINE), ["a1"])) == ["a2"]


def test_files_that_are_gone_are_a_changed_plan() -> None:
    for action, rows, target in ((Action.UPGRADE, ["a1"], "head"), (Action.DOWNGRADE, ["a3"], "a1")):
        agreed = AgreedPlan.by(history(LINE), action, rows, target)
        with pytest.raises(PlanChanged, match="a3"):
            agreed.remaining(history(SHORT), ["a2"])


def test_a_downgrade_that_others_overtook_is_no_success() -> None:
    agreed = AgreedPlan.by(history(LINE), Action.DOWNGRADE, ["a3"], "a2")
    assert not agreed.is_reached(["a1"])
    with pytest.raises(RevisionNotApplied):
        agreed.remaining(history(LINE), ["a1"])


def test_a_database_at_a_revision_that_nobody_knows_agrees_to_nothing() -> None:
    agreed = AgreedPlan.by(history(LINE), Action.UPGRADE, ["z9"], "head")
    assert (agreed.goals, agreed.revisions, agreed.is_reached(["z9"])) == ([], [], False)
