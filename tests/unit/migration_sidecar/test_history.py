"""What lies between two revisions, measured against Alembic's own answer."""

from __future__ import annotations

import pytest
from alembic.script.revision import RangeNotAncestorError, Revision, RevisionMap
from hypothesis import given, settings
from hypothesis import strategies as st

from migration_sidecar.errors import HistoryUnreadable, NotApplied, UnknownTarget
from migration_sidecar.history import History, RevisionFile
from migration_sidecar.messages import Action

Graph = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]  # revision: what it follows, what it depends on

LINE: Graph = {"a1": ((), ()), "a2": (("a1",), ()), "a3": (("a2",), ())}
BRANCHES: Graph = {"a1": ((), ()), "b1": (("a1",), ()), "c1": (("a1",), ()), "c2": (("c1",), ())}
MERGED: Graph = {**BRANCHES, "m1": (("b1", "c2"), ()), "m2": (("m1",), ())}
DEPENDENT: Graph = {"a1": ((), ()), "a2": (("a1",), ()), "x1": ((), ()), "x2": (("x1",), ("a1",))}


def history(graph: Graph) -> History:
    files = {
        revision: RevisionFile(
            id=revision,
            message="",
            sha256="",
            path=f"versions/{revision}.py",
            down=down,
            depends_on=depends_on,
            transactional=True,
            reversible=True,
            destructive_upgrade=False,
            destructive_downgrade=False,
        )
        for revision, (down, depends_on) in graph.items()
    }
    followed = {below for down, _ in graph.values() for below in down}
    return History(heads=tuple(sorted(set(graph) - followed)), revisions=files)


def ids(steps: list[RevisionFile]) -> list[str]:
    return [step.id for step in steps]


def test_a_line_is_climbed_and_descended_in_order() -> None:
    line = history(LINE)
    assert ids(line.between(Action.UPGRADE, [], "head")) == ["a1", "a2", "a3"]
    assert ids(line.between(Action.UPGRADE, ["a1"], "a2")) == ["a2"]
    assert ids(line.between(Action.UPGRADE, ["a3"], "head")) == []
    assert ids(line.between(Action.DOWNGRADE, ["a3"], "a1")) == ["a3", "a2"]
    assert ids(line.between(Action.DOWNGRADE, ["a3"], "base")) == ["a3", "a2", "a1"]
    assert line.heads_after(Action.UPGRADE, ["a1"], line.between(Action.UPGRADE, ["a1"], "head")) == ["a3"]
    assert line.heads_after(Action.DOWNGRADE, ["a3"], line.between(Action.DOWNGRADE, ["a3"], "base")) == []


def test_head_is_refused_where_there_are_two_and_heads_takes_both() -> None:
    branches = history(BRANCHES)
    with pytest.raises(HistoryUnreadable) as refusal:
        branches.between(Action.UPGRADE, [], "head")
    assert refusal.value.problem.code == "CM-301"
    assert "b1 (b1.py), c2 (c2.py)" in refusal.value.problem.detail
    assert set(ids(branches.between(Action.UPGRADE, [], "heads"))) == {"a1", "b1", "c1", "c2"}
    assert branches.heads_after(Action.UPGRADE, [], branches.between(Action.UPGRADE, [], "heads")) == ["b1", "c2"]


def test_a_downgrade_in_a_branch_leaves_the_other_branch() -> None:
    branches = history(BRANCHES)
    steps = branches.between(Action.DOWNGRADE, ["b1", "c2"], "c1")
    assert ids(steps) == ["c2"]
    assert branches.heads_after(Action.DOWNGRADE, ["b1", "c2"], steps) == ["b1", "c1"]


def test_a_merge_stands_on_both_branches() -> None:
    merged = history(MERGED)
    climbed = ids(merged.between(Action.UPGRADE, ["b1"], "head"))
    assert climbed[-2:] == ["m1", "m2"]
    assert set(climbed) == {"c1", "c2", "m1", "m2"}
    down = merged.between(Action.DOWNGRADE, ["m2"], "c1")
    assert ids(down) == ["m2", "m1", "c2"]
    assert merged.heads_after(Action.DOWNGRADE, ["m2"], down) == ["b1", "c1"]


def test_what_is_depended_on_comes_first_and_leaves_last() -> None:
    dependent = history(DEPENDENT)
    assert ids(dependent.between(Action.UPGRADE, [], "x2")).index("a1") < 2
    assert set(ids(dependent.between(Action.UPGRADE, [], "x2"))) == {"a1", "x1", "x2"}
    assert ids(dependent.between(Action.DOWNGRADE, ["a2", "x2"], "base"))[-1] in ("a1", "x1")


@pytest.mark.parametrize("target", ["a", "a9", "", "base", "-1", "A1"])
def test_only_what_is_there_is_a_target(target: str) -> None:
    with pytest.raises(UnknownTarget):
        history(LINE).between(Action.UPGRADE, [], target)


@pytest.mark.parametrize("current", [[], ["a1"], ["b1"]])
def test_a_downgrade_ends_only_where_the_database_has_been(current: list[str]) -> None:
    with pytest.raises(NotApplied):
        history(BRANCHES).between(Action.DOWNGRADE, current, "c1")


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Lines, branches, merges of open branches, and dependencies on earlier revisions."""
    graph: Graph = {}
    for number in range(draw(st.integers(1, 8))):
        known = sorted(graph)
        open_ends = sorted(set(known) - {below for down, _ in graph.values() for below in down})
        kind = draw(st.sampled_from(["root", "next", "merge"]))
        down: tuple[str, ...] = ()
        if kind == "next" and known:
            down = (draw(st.sampled_from(known)),)
        elif kind == "merge" and len(open_ends) > 1:
            down = tuple(draw(st.permutations(open_ends))[:2])
        under = history(graph).ancestors(down)
        free = sorted(set(known) - under)
        # Alembic itself refuses a merge whose branches depend on each other.
        depends = (draw(st.sampled_from(free)),) if free and len(down) < 2 and draw(st.booleans()) else ()
        graph[f"r{number}"] = (down, depends)
    return graph


def alembics(graph: Graph) -> RevisionMap:
    return RevisionMap(
        lambda: [
            Revision(revision, tuple(down) or None, dependencies=tuple(depends) or None)
            for revision, (down, depends) in graph.items()
        ]
    )


def rows_of(known: History, revisions: set[str]) -> tuple[str, ...]:
    """What the version table holds when these revisions and all under them are applied."""
    there = known.ancestors(revisions)
    covered = {below for revision in there for below in known.revisions[revision].before}
    return tuple(sorted(there - covered))


def reverted_by_alembic(theirs: RevisionMap, current: tuple[str, ...], target: str) -> set[str]:
    try:
        wanted, _ = theirs._collect_downgrade_revisions(
            current, target, inclusive=False, implicit_base=False, assert_relative_length=False
        )
    except RangeNotAncestorError:
        return set()  # its way to say that nothing follows the target
    return {revision.revision for revision in wanted}


@settings(max_examples=300, deadline=None)
@given(graph=graphs(), data=st.data())
def test_what_would_be_applied_is_what_alembic_would_apply(graph: Graph, data: st.DataObject) -> None:
    known, theirs = history(graph), alembics(graph)
    current = rows_of(known, data.draw(st.sets(st.sampled_from(sorted(graph)))))
    target = data.draw(st.sampled_from(sorted(graph)))
    wanted, _ = theirs._collect_upgrade_revisions(
        target, current, inclusive=False, implicit_base=True, assert_relative_length=False
    )
    ours = ids(known.between(Action.UPGRADE, current, target))
    assert set(ours) == {revision.revision for revision in wanted}
    for position, revision in enumerate(ours):
        needed = set(known.revisions[revision].before) - known.ancestors(current)
        assert needed <= set(ours[:position])


@settings(max_examples=300, deadline=None)
@given(graph=graphs(), data=st.data())
def test_what_would_be_reverted_is_what_alembic_would_revert(graph: Graph, data: st.DataObject) -> None:
    known, theirs = history(graph), alembics(graph)
    current = rows_of(known, data.draw(st.sets(st.sampled_from(sorted(graph)), min_size=1)))
    target = data.draw(st.sampled_from(sorted(known.ancestors(current))))
    ours = ids(known.between(Action.DOWNGRADE, current, target))
    assert set(ours) == reverted_by_alembic(theirs, current, target)
    for position, revision in enumerate(ours):
        assert not (known.ancestors([revision]) - {revision}) & set(ours[:position])
