"""What this library expects of Alembic is what Alembic does: random histories, both asked."""

from __future__ import annotations

from types import SimpleNamespace

from alembic.runtime.migration import HeadMaintainer, RevisionStep
from alembic.script.revision import MultipleHeads, RangeNotAncestorError, Revision, RevisionError, RevisionMap
from hypothesis import given, settings
from hypothesis import strategies as st

from migration_sidecar.alembic_environment.history import History
from migration_sidecar.contract.errors import HistoryUnreadable, RevisionNotApplied
from migration_sidecar.contract.messages import Action
from tests.unit.migration_sidecar.alembic_environment.test_history import Graph, history, ids

Labels = dict[str, tuple[str, ...]]
STEP = SimpleNamespace(upgrade=None, downgrade=None)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Several roots, lines, branches, merges of open branches, and dependencies on earlier revisions."""
    graph: Graph = {}
    for number in range(draw(st.integers(1, 9))):
        known = sorted(graph)
        open_ends = sorted(set(known) - {below for down, _ in graph.values() for below in down})
        kind = draw(st.sampled_from(["root", "next", "next", "merge"]))
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


@st.composite
def labels(draw: st.DrawFn, graph: Graph) -> Labels:
    chosen = draw(st.sets(st.sampled_from(sorted(graph)), max_size=3))
    return {revision: (f"of_{revision}",) for revision in chosen}


def alembics(graph: Graph, given_labels: Labels) -> RevisionMap:
    return RevisionMap(
        lambda: [
            Revision(
                revision,
                tuple(down) or None,
                dependencies=tuple(depends) or None,
                branch_labels=given_labels.get(revision),
            )
            for revision, (down, depends) in graph.items()
        ]
    )


def rows_of(known: History, revisions: set[str]) -> tuple[str, ...]:
    """What the version table holds when these revisions and all under them are applied."""
    there = known.ancestors(revisions)
    covered = {below for revision in there for below in known.revisions[revision].before}
    return tuple(sorted(there - covered))


class VersionRows(HeadMaintainer):
    """Alembic's own bookkeeping, without a database."""

    def __init__(self, rows: tuple[str, ...]) -> None:
        self.heads = set(rows)

    def _insert_version(self, version: str) -> None:
        self.heads.add(version)

    def _delete_version(self, version: str) -> None:
        self.heads.remove(version)

    def _update_version(self, from_: str, to_: str) -> None:
        self.heads.remove(from_)
        self.heads.add(to_)


def carried_out(theirs: RevisionMap, rows: tuple[str, ...], action: Action, target: str) -> tuple[list[str], list[str]]:
    """The revisions that Alembic passes on its way, and the version rows that it leaves."""
    up = action is Action.UPGRADE
    kind = {"implicit_base": True} if up else {"select_for_downgrade": True}
    way = theirs.iterate_revisions(*((target, rows) if up else (rows, target)), **kind)
    maintained, passed = VersionRows(rows), []
    for revision in reversed(list(way)) if up else way:
        revision.module = STEP
        passed.append(revision.revision)
        maintained.update_to_step(RevisionStep(theirs, revision, up))
    return passed, sorted(maintained.heads)


@settings(max_examples=400)
@given(data=st.data())
def test_an_upgrade_passes_what_alembic_passes_and_ends_where_it_ends(data: st.DataObject) -> None:
    graph = data.draw(graphs())
    given_labels = data.draw(labels(graph))
    known, theirs = history(graph, given_labels), alembics(graph, given_labels)
    rows = rows_of(known, data.draw(st.sets(st.sampled_from(sorted(graph)))))
    branches = [label for each in given_labels.values() for label in each] + sorted(graph)
    ends = ["heads", "head", *(f"{branch}@{end}" for branch in branches for end in ("head", "heads"))]
    target = data.draw(st.sampled_from([*sorted(graph), *ends]))
    try:
        ours = ids(known.between(Action.UPGRADE, rows, target))
    except HistoryUnreadable:
        ours = None
    try:
        passed, left = carried_out(theirs, rows, Action.UPGRADE, target)
    except MultipleHeads:
        # One word takes all of several heads for reached: for Alembic it is an error, whatever is applied.
        assert ours in (None, [])
        return
    except RevisionError as error:
        if "overlaps" in str(error):
            return  # Alembic takes no two heads of a branch where one depends on the other
        raise
    assert ours is not None
    assert ours == passed
    assert known.heads_after(Action.UPGRADE, rows, [known.revisions[each] for each in ours]) == left
    for position, revision in enumerate(ours):
        needed = set(known.revisions[revision].before) - known.ancestors(rows)
        assert needed <= set(ours[:position])


@settings(max_examples=400)
@given(data=st.data())
def test_a_downgrade_passes_what_alembic_passes_and_ends_where_it_ends(data: st.DataObject) -> None:
    graph = data.draw(graphs())
    given_labels = data.draw(labels(graph))
    known, theirs = history(graph, given_labels), alembics(graph, given_labels)
    rows = rows_of(known, data.draw(st.sets(st.sampled_from(sorted(graph)), min_size=1)))
    branches = ["", *(f"{label}@" for each in given_labels.values() for label in each), *(f"{r}@" for r in graph)]
    goal = data.draw(st.sampled_from([*sorted(known.ancestors(rows)), "base"]))
    target = data.draw(st.sampled_from(branches)) + goal
    try:
        ours = ids(known.between(Action.DOWNGRADE, rows, target))
    except RevisionNotApplied:
        ours = None
    try:
        passed, left = carried_out(theirs, rows, Action.DOWNGRADE, target)
    except RangeNotAncestorError:
        passed, left = [], sorted(rows)  # its way to say that nothing follows the target
    except RevisionError:
        assert ours is None
        return
    assert ours is not None
    assert ours == passed
    assert known.heads_after(Action.DOWNGRADE, rows, [known.revisions[each] for each in ours]) == left
    for position, revision in enumerate(ours):
        assert not (known.ancestors([revision]) - {revision}) & set(ours[:position])
