"""Random histories, and random ways through them as Alembic goes and the journal writes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from alembic.runtime.migration import MigrationInfo, RevisionStep, StampStep
from alembic.script import ScriptDirectory
from alembic.script.revision import RangeNotAncestorError, RevisionError, RevisionMap
from alembic.util import CommandError
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from migration_sidecar.contract.journal import JournalEntry
from tests.unit.coordinator.domain.reconciliation.test_journal_continuity import BEGAN, followed, row
from tests.unit.migration_sidecar.alembic_environment.test_agreement_with_alembic import (
    STEP,
    VersionRows,
    alembics,
    graphs,
    labels,
    rows_of,
)
from tests.unit.migration_sidecar.alembic_environment.test_history import Graph, history


@dataclass
class Walk:
    """What Alembic did, in the rows that the journal has of it, and the version rows around each of them."""

    theirs: RevisionMap
    heads: list[str]
    tells_heads: bool  # as the journal has done since it has the key `heads_before`
    rows: list[JournalEntry] = field(default_factory=list)
    places: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.places.append(self.heads)
        self.known_from_base = not self.heads

    def up(self, target: str) -> None:
        way = list(self.theirs.iterate_revisions(target, tuple(self.heads), implicit_base=True))
        self._carry_out([self._step(each, True) for each in reversed(way)])

    def down(self, target: str) -> None:
        way = self.theirs.iterate_revisions(tuple(self.heads), target, select_for_downgrade=True)
        self._carry_out([self._step(each, False) for each in way])

    def stamp(self, *targets: str) -> None:
        folder = ScriptDirectory.__new__(ScriptDirectory)
        folder.revision_map = self.theirs
        self._carry_out(folder._stamp_revs(targets, tuple(self.heads)))

    def _step(self, revision: object, up: bool) -> RevisionStep:
        revision.module = STEP  # type: ignore[attr-defined]
        return RevisionStep(self.theirs, revision, up)  # type: ignore[arg-type]

    def _carry_out(self, steps: list[RevisionStep] | list[StampStep]) -> None:
        """A stamp is one attempt, and so is each step here."""
        maintained, rows, places = VersionRows(tuple(self.heads)), [], []
        for step in steps:
            found = sorted(maintained.heads)
            maintained.update_to_step(step)
            places.append(sorted(maintained.heads))
            facts = {"heads_before": found} if self.tells_heads else {}
            rows.append(_as_written(step.info, places[-1], attempt=len(self.rows) + 1, **facts))
        self.rows += rows
        self.places += places
        self.heads = self.places[-1]

    def gaps(self, rows: list[JournalEntry] | None = None, at: list[str] | None = None) -> list[str]:
        entries = self.rows if rows is None else rows
        begun = [BEGAN, *(row("attempt", attempt=number) for number in range(2, len(self.rows) + 2))]
        found = followed(*begun, *entries, at=self.heads if at is None else at)
        return [f"{gap.kind}: {gap.sentence}" for gap in found]


def _as_written(info: MigrationInfo, heads: list[str], **facts: Any) -> JournalEntry:
    """As `GuardedSession.record_applied` does."""
    stamped = (info.destination_revision_ids or info.up_revision_ids)[0] if info.is_stamp else None
    kind = "stamped" if info.is_stamp else "applied" if info.is_upgrade else "reverted"
    before = sorted(info.source_revision_ids)
    return row(kind, stamped or info.up_revision_id, before=before, heads=heads, **facts)


@st.composite
def wide_graphs(draw: st.DrawFn) -> Graph:
    """As `graphs`, and with merges of three, with several dependencies, and with both in one revision."""
    graph: Graph = {}
    for number in range(draw(st.integers(1, 10))):
        known = sorted(graph)
        width = draw(st.sampled_from([0, 1, 1, 1, 2, 2, 3]))
        down = tuple(draw(st.permutations(known))[:width])
        depends = draw(st.lists(st.sampled_from(known), max_size=2, unique=True)) if known else []
        graph[f"r{number}"] = (down, tuple(depends) if draw(st.booleans()) else ())
    try:
        _ = alembics(graph, {}).heads
    except RevisionError:
        assume(False)  # Alembic does not read such a history
    return graph


@st.composite
def walks(
    draw: st.DrawFn, *, from_base: bool | None = None, stamps: bool = True, tells_heads: bool | None = None
) -> Walk:
    """`tells_heads` is True for rows as they are written now, False for those of earlier releases, None for either."""
    graph: Graph = draw(graphs() | wide_graphs())
    given_labels = draw(labels(graph))
    known = history(graph, given_labels)
    ids = sorted(graph)
    first = draw(st.sets(st.sampled_from(ids))) if from_base is not True else set()
    told = draw(st.booleans()) if tells_heads is None else tells_heads
    walk = Walk(alembics(graph, given_labels), list(rows_of(known, first)), told)
    branches = [*(label for each in given_labels.values() for label in each), *ids]
    for _ in range(draw(st.integers(1, 7))):
        action = draw(st.sampled_from(["up", "up", "up", "down", *(["stamp"] if stamps else [])]))
        ends = ["heads", *(f"{branch}@heads" for branch in branches)] if action == "up" else ["base"]
        wanted = draw(st.sampled_from([*ids, *ids, *ends]))
        try:
            match action:
                case "up":
                    walk.up(wanted)
                case "down":
                    branch = draw(st.sampled_from(["", "", *(f"{each}@" for each in branches)]))
                    walk.down(branch + wanted)
                case _:
                    walk.stamp(*draw(st.lists(st.sampled_from([*ids, "base"]), min_size=1, max_size=2, unique=True)))
        except (RangeNotAncestorError, RevisionError, CommandError, AssertionError, KeyError):
            continue  # Alembic refuses that as well, or fails at it and rolls back
    assume(walk.rows)
    return walk


def is_out_of_sight(walk: Walk, at: int) -> bool:
    """Whether docs/audit.md says that the row could be removed without a word from the journal alone."""
    if at == 0:
        return True  # what a journal begins with looks like a database that was there before
    if walk.tells_heads or at + 1 == len(walk.rows):
        return False
    removed, following = walk.rows[at], walk.rows[at + 1]
    if following.kind == "stamped" and not following.before and following.heads == [following.revision]:
        return True  # as after `alembic stamp --purge`
    seen_applied = {each.revision for each in walk.rows[:at] if each.kind == "applied"}
    if following.kind == "reverted" and following.revision not in seen_applied:
        return set(walk.places[at]) - {following.revision} <= set(following.heads or [])
    displaced = set(walk.places[at]) - set(walk.places[at + 1])
    above = following.kind == "applied" and {removed.revision, *displaced} <= set(following.before or [])
    seen_from_base = walk.known_from_base and all(each.kind != "stamped" for each in walk.rows[: at + 1])
    return above and not seen_from_base


@settings(max_examples=200)
@given(walk=walks())
def test_whatever_alembic_does_is_left_in_peace(walk: Walk) -> None:
    assert walk.gaps() == []


@settings(max_examples=100)
@given(walk=walks(tells_heads=True), data=st.data())
def test_a_journal_that_an_earlier_release_began_is_left_in_peace_too(walk: Walk, data: st.DataObject) -> None:
    """Or wrote into between: in a rolling update both write."""
    older = data.draw(st.sets(st.integers(0, len(walk.rows) - 1)))
    rows = [row.model_copy(update={"heads_before": None}) if at in older else row for at, row in enumerate(walk.rows)]
    assert walk.gaps(rows) == []


@settings(max_examples=200)
@given(walk=walks(), data=st.data())
def test_a_row_that_is_removed_is_missed(walk: Walk, data: st.DataObject) -> None:
    in_sight = [at for at in range(len(walk.rows)) if not is_out_of_sight(walk, at)]
    assume(in_sight)
    at = data.draw(st.sampled_from(in_sight))
    assert walk.gaps([each for number, each in enumerate(walk.rows) if number != at]) != []


@settings(max_examples=200)
@given(walk=walks(tells_heads=True), data=st.data())
def test_a_row_too_many_is_seen(walk: Walk, data: st.DataObject) -> None:
    """A copy of another row, or a forged one that would fit where it stands."""
    at = data.draw(st.integers(1, len(walk.rows)))
    there = walk.places[at]
    up = row("applied", "forged", before=there, heads=["forged"], heads_before=there)
    beside = row("applied", "forged", before=[], heads=sorted([*there, "forged"]), heads_before=there)
    extra = data.draw(st.sampled_from([up, beside, *walk.rows]))
    assert walk.gaps([*walk.rows[:at], extra, *walk.rows[at:]]) != []


@settings(max_examples=300)
@given(walk=walks(from_base=True, stamps=False), data=st.data())
def test_what_a_row_says_cannot_be_altered(walk: Walk, data: st.DataObject) -> None:
    assume(len(walk.rows) > 1)
    at = data.draw(st.integers(1, len(walk.rows) - 1))
    told, there = walk.rows[at], set(walk.places[at])
    ids = sorted({"forged", *(each.revision or "" for each in walk.rows)})
    other = data.draw(
        st.one_of(
            st.lists(st.sampled_from(ids), unique=True)
            .filter(lambda heads: set(heads) != set(told.heads or []))
            .map(lambda heads: {"heads": heads}),
            st.lists(st.sampled_from(ids), unique=True)
            .filter(lambda heads: set(heads) != there)
            .map(lambda heads: {"heads_before": heads}),
            st.sampled_from(ids).filter(lambda one: one != told.revision).map(lambda one: {"revision": one}),
            st.sampled_from(["applied", "reverted"]).filter(lambda kind: kind != told.kind).map(lambda k: {"kind": k}),
            # What is under the heads anyway may be named or not: only the audit tells that.
            st.lists(st.sampled_from(ids), unique=True)
            .filter(lambda before: set(before) & there != set(told.before or []) & there)
            .map(lambda before: {"before": before}),
        )
    )
    forged = [each.model_copy(update=other) if number == at else each for number, each in enumerate(walk.rows)]
    assert walk.gaps(forged) != [], other


@settings(max_examples=50)
@given(walk=walks(), data=st.data())
def test_a_version_that_was_moved_past_the_journal_is_seen(walk: Walk, data: st.DataObject) -> None:
    elsewhere = data.draw(st.lists(st.sampled_from(["elsewhere", *walk.heads]), unique=True))
    assume(set(elsewhere) != set(walk.heads))
    assert any("version was moved past the journal" in gap for gap in walk.gaps(at=elsewhere))
