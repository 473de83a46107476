"""What lies between two revisions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from migration_sidecar.alembic_environment.history import History, RevisionFile
from migration_sidecar.contract.errors import HistoryUnreadable, RevisionNotApplied, UnknownTarget
from migration_sidecar.contract.messages import Action

Graph = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]  # revision: what it follows, what it depends on

LINE: Graph = {"a1": ((), ()), "a2": (("a1",), ()), "a3": (("a2",), ())}
BRANCHES: Graph = {"a1": ((), ()), "b1": (("a1",), ()), "c1": (("a1",), ()), "c2": (("c1",), ())}
MERGED: Graph = {**BRANCHES, "m1": (("b1", "c2"), ()), "m2": (("m1",), ())}
DEPENDENT: Graph = {"a1": ((), ()), "a2": (("a1",), ()), "x1": ((), ()), "x2": (("x1",), ("a1",))}


def history(graph: Graph, labels: dict[str, tuple[str, ...]] | None = None) -> History:
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
            labels=(labels or {}).get(revision, ()),
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


@pytest.mark.parametrize("target", ["head", "heads"])
def test_a_history_that_is_at_all_of_its_heads_is_at_head(target: str) -> None:
    assert history(BRANCHES).between(Action.UPGRADE, ["b1", "c2"], target) == []
    assert history(DEPENDENT).between(Action.UPGRADE, ["a2", "x2"], target) == []


def test_one_of_two_heads_is_not_enough() -> None:
    for current in (["b1"], ["c2"], ["b1", "c1"]):
        with pytest.raises(HistoryUnreadable):
            history(BRANCHES).between(Action.UPGRADE, current, "head")


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


def test_a_branch_is_named_by_its_label_or_by_a_revision_of_it() -> None:
    branches = history(BRANCHES, {"b1": ("left",), "c1": ("right",)})
    assert ids(branches.between(Action.UPGRADE, [], "right@heads")) == ["a1", "c1", "c2"]
    for name in ("right", "c2"):
        assert ids(branches.between(Action.DOWNGRADE, ["b1", "c2"], f"{name}@a1")) == ["c2", "c1"]
    assert set(ids(branches.between(Action.DOWNGRADE, ["b1", "c2"], "a1"))) == {"b1", "c1", "c2"}
    for target in ("right@head", "c1@head"):
        assert ids(branches.between(Action.UPGRADE, [], target)) == ["a1", "c1", "c2"]
    for target in ("middle@heads", "middle@head", "c@head"):
        with pytest.raises(UnknownTarget):
            branches.between(Action.UPGRADE, [], target)


def test_the_head_of_a_branch_that_ends_in_several_is_refused_unless_all_are_applied() -> None:
    branches = history(BRANCHES, {"a1": ("main",)})
    with pytest.raises(HistoryUnreadable) as refusal:
        branches.between(Action.UPGRADE, ["b1"], "main@head")
    assert (refusal.value.problem.code, "so main@head is not one" in refusal.value.problem.detail) == ("CM-301", True)
    assert ids(branches.between(Action.UPGRADE, ["b1"], "main@heads")) == ["c1", "c2"]
    assert branches.between(Action.UPGRADE, ["b1", "c2"], "main@head") == []


def test_of_the_heads_of_a_branch_one_that_another_depends_on_is_implied() -> None:
    """Alembic refuses both at once. The other one leads to the same."""
    fork = history({"a1": ((), ()), "b1": (("a1",), ()), "c1": (("a1",), ("b1",))}, {"a1": ("main",)})
    assert fork.resolve("main@heads") == fork.resolve("heads") == ("c1",)
    assert ids(fork.between(Action.UPGRADE, [], "main@heads")) == ["a1", "b1", "c1"]


def test_one_of_two_histories_is_taken_down_to_its_own_base() -> None:
    both = history(DEPENDENT, {"x1": ("other",)})
    assert ids(both.between(Action.DOWNGRADE, ["a2", "x2"], "other@base")) == ["x2", "x1"]
    assert set(ids(both.between(Action.DOWNGRADE, ["a2", "x2"], "base"))) == set(DEPENDENT)


def test_nothing_is_reverted_down_to_several_heads_at_once() -> None:
    with pytest.raises(UnknownTarget):
        history(BRANCHES).between(Action.DOWNGRADE, ["b1", "c2"], "heads")


@pytest.mark.parametrize("current", [[], ["a1"], ["b1"]])
def test_a_downgrade_ends_only_where_the_database_has_been(current: list[str]) -> None:
    with pytest.raises(RevisionNotApplied):
        history(BRANCHES).between(Action.DOWNGRADE, current, "c1")


OF_TWO_BRANCHES = replace(history(BRANCHES, {"b1": ("left",), "c1": ("right",)}), default_target="right@head")


def test_head_means_the_default_target() -> None:
    assert OF_TWO_BRANCHES.target_heads == OF_TWO_BRANCHES.resolve("head") == ("c2",)
    assert ids(OF_TWO_BRANCHES.between(Action.UPGRADE, [], "head")) == ["a1", "c1", "c2"]
    assert OF_TWO_BRANCHES.between(Action.UPGRADE, ["c2"], OF_TWO_BRANCHES.status_target) == []
    assert set(OF_TWO_BRANCHES.resolve("heads")) == {"b1", "c2"}


@pytest.mark.parametrize(
    ("target", "heads"), [("left@heads", ("b1",)), ("c1", ("c1",)), ("heads", ("b1", "c2")), ("c1@head", ("c2",))]
)
def test_a_default_target_may_be_a_branch_a_revision_or_all_heads(target: str, heads: tuple[str, ...]) -> None:
    known = replace(OF_TWO_BRANCHES, default_target=target)
    assert known.target_heads == known.goals("head", []) == heads


def test_the_head_of_a_branch_with_several_is_refused() -> None:
    with pytest.raises(HistoryUnreadable, match="CM-301"):
        OF_TWO_BRANCHES.resolve("a1@head")
    with pytest.raises(UnknownTarget):
        OF_TWO_BRANCHES.resolve("middle@head")


def test_without_a_default_target_every_head_counts() -> None:
    assert (history(BRANCHES).status_target, history(BRANCHES).target_heads) == ("heads", ("b1", "c2"))
