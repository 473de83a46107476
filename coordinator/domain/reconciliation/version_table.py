"""Follows one version table through its journal: which heads each row must have left behind.

A row names the heads before and after it, and what its revision builds on, which need not be the same: of two revisions
on one, the second finds the first as a head. Rows of earlier releases do not name the heads before. For them, and to
tell whether the heads after a row can be true, the revisions that the journal knows are kept as a graph.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from coordinator.domain.reconciliation.discrepancy import Kind
from migration_sidecar.contract.journal import JournalEntry

Revisions = frozenset[str]
NONE: Revisions = frozenset()
MOVE_DESCRIPTIONS = "a row was removed or altered, or the version was moved past the journal."


class Fault(NamedTuple):
    """What a journal row contradicts; the sentence has no service name yet."""

    kind: Kind
    sentence: str


class BuiltRevision(NamedTuple):
    """What a revision was built on when it was applied, by the file it had then."""

    on: Revisions
    sha256: str | None


class Move(NamedTuple):
    """What one row says. `before` is what its revision builds on or replaces; `found` is None in an older row."""

    kind: str
    revision: str
    before: Revisions
    found: Revisions | None  # the heads before it
    after: Revisions
    attempt: tuple[str, int]
    sha256: str | None


@dataclass
class VersionTable:
    """Follows the heads through the rows. `heads` is None until a row tells them; `began_at` is before the journal."""

    heads: Revisions | None = None
    initial_heads: Revisions | None = None
    _built: dict[str, BuiltRevision] = field(default_factory=dict)
    _applied: set[str] = field(default_factory=set)
    _reverted: set[str] = field(default_factory=set)
    _last: Move | None = None
    _replaced: Revisions = NONE  # by the rows of one `alembic stamp` so far, which all name what was there at first

    def apply(self, entry: JournalEntry) -> Fault | None:
        """Takes the next row; rows must come in order. After a fault it goes on from what the row says."""
        applied_twice = self._applied_twice(entry)
        if entry.before is None or entry.heads is None:
            self.heads, self._last = None, None  # a row as version 0.1 wrote it
            self._count(entry.kind, entry.revision or "")
            return applied_twice
        move = _move(entry)
        if self.initial_heads is None:
            self.initial_heads = _first_heads(move)
        fault = applied_twice if self.heads is not None else None
        fault = fault or self._break(move) or self._contradiction(move)
        self._advance(move, is_discontinuous=fault is not None)
        return fault or applied_twice

    def _break(self, move: Move) -> Fault | None:
        """Where the row did not find the heads that the row before it left."""
        if self.heads is None or move.found is None or move.found == self.heads:
            return None
        return _unexpected_start(move, move.found, self.heads)

    def _contradiction(self, move: Move) -> Fault | None:
        """Where the heads after the row do not follow from those before it."""
        heads = self.heads if move.found is None else move.found
        if heads is None:
            return None
        if move.kind == "applied":
            if not self._may_be_in_place(move.before, heads):
                return _unexpected_start(move, move.before, heads)
            fits = self._follows_upgrade(move, heads)
        elif move.kind == "reverted":
            if move.before != {move.revision} or not move.before <= heads:
                return _unexpected_start(move, move.before, heads)
            fits = self._follows_downgrade(move, heads)
        else:
            if not move.before <= heads | self._replaced_by_the_same(move):
                return _unexpected_start(move, move.before, heads)
            fits = _follows_stamp(move, heads)
        return None if fits else _unexpected_end(move, heads)

    def _follows_upgrade(self, move: Move, heads: Revisions) -> bool:
        """Whether the revision replaces what it builds on, except what another head builds on too."""
        replaced = move.before & heads
        retained = replaced & move.after
        others = heads - move.before
        if move.after != (heads - replaced) | retained | {move.revision} or move.revision in heads:
            return False
        if len(replaced) < 2:
            return not retained
        return replaced & self._with_ancestors(others) <= retained and (
            not retained or self._may_be_ancestors(retained, others)
        )

    def _follows_downgrade(self, move: Move, heads: Revisions) -> bool:
        """Whether what the revision was built on is a head again, except what lies under another head."""
        others = heads - {move.revision}
        restored = move.after - others
        if not others <= move.after or move.revision in restored:
            return False
        if not self._is_known(move):
            return not restored & (self._with_ancestors(others) | self._reverted)
        on = self._built[move.revision].on
        if not others and restored == on and len(on) < 2:
            return True  # a linear history, where the search of all ancestors would take as long as the whole journal
        nodes = self._with_ancestors(others or on)
        below = nodes if others else self._ancestors(on)
        return restored <= on - below and self._may_be_among(on - restored, below, nodes)

    def _is_known(self, move: Move) -> bool:
        """Whether it was applied by the same file; another one may be built on something else."""
        built = self._built.get(move.revision)
        return built is not None and (not built.sha256 or not move.sha256 or built.sha256 == move.sha256)

    def _may_be_in_place(self, revisions: Revisions, heads: Revisions) -> bool:
        return revisions <= heads or self._may_be_ancestors(revisions, heads)

    def _may_be_ancestors(self, revisions: Revisions, heads: Iterable[str]) -> bool:
        nodes = self._with_ancestors(heads)
        return self._may_be_among(revisions, nodes, nodes)

    def _may_be_among(self, revisions: Revisions, below: set[str], nodes: set[str]) -> bool:
        """Under a node that the journal did not see applied may lie anything, but nothing that it saw reverted."""
        unknown = revisions - below
        return not unknown or not (nodes <= self._built.keys() or unknown & self._reverted)

    def _with_ancestors(self, heads: Iterable[str]) -> set[str]:
        """The heads themselves and all that they are known to build on."""
        visited: set[str] = set()
        todo = list(heads)
        while todo:
            revision = todo.pop()
            if revision not in visited:
                visited.add(revision)
                todo.extend(self._built[revision].on if revision in self._built else ())
        return visited

    def _ancestors(self, revisions: Revisions) -> set[str]:
        return self._with_ancestors(
            below for each in revisions if each in self._built for below in self._built[each].on
        )

    def _replaced_by_the_same(self, move: Move) -> Revisions:
        last = self._last
        same = last is not None and (last.kind, last.attempt) == ("stamped", move.attempt)
        return self._replaced if same else NONE

    def _advance(self, move: Move, *, is_discontinuous: bool) -> None:
        heads = self.heads if move.found is None else move.found
        removed = (move.before if heads is None else heads) - move.after
        self._replaced = removed | self._replaced_by_the_same(move) if move.kind == "stamped" else NONE
        self.heads, self._last = move.after, move
        is_unknown = is_discontinuous or (move.kind == "reverted" and not self._is_known(move))
        if move.kind == "applied":
            self._built[move.revision] = BuiltRevision(move.before, move.sha256)
        self._count(move.kind, move.revision)
        self._reverted -= move.after if move.kind == "reverted" else move.after | move.before
        if is_unknown:
            self._applied &= self._with_ancestors(move.after)

    def _count(self, kind: str, revision: str) -> None:
        if kind == "stamped":
            self._applied.clear()
            self._reverted.clear()
        elif kind == "reverted":
            self._applied.discard(revision)
            self._reverted.add(revision)
        else:
            self._applied.add(revision)

    def _applied_twice(self, entry: JournalEntry) -> Fault | None:
        if entry.kind != "applied" or entry.revision not in self._applied:
            return None
        return Fault(Kind.APPLIED_TWICE, f"{entry.revision} was applied twice without a revert between.")


def named(revisions: Iterable[str]) -> str:
    """Revisions for a sentence; `nothing` where there are none."""
    return ", ".join(sorted(revisions)) or "nothing"


def _move(entry: JournalEntry) -> Move:
    sha256 = entry.event.detail.get("sha256") if entry.event is not None else None
    before, after = frozenset(entry.before or ()), frozenset(entry.heads or ())
    found = None if entry.heads_before is None else frozenset(entry.heads_before)
    return Move(entry.kind, entry.revision or "", before, found, after, (entry.operation_id, entry.attempt), sha256)


def _first_heads(move: Move) -> Revisions:
    return move.before | move.after - {move.revision} if move.found is None else move.found


def _follows_stamp(move: Move, heads: Revisions) -> bool:
    if move.revision in move.before or not move.revision:
        return move.after == heads - move.before  # to base: the row names what it left
    if move.found is None and not move.before and move.after == {move.revision}:
        return True  # with --purge Alembic empties the table first, so the row names nothing that was there
    return move.revision not in heads and move.after == heads - move.before | {move.revision}


def _unexpected_start(move: Move, start: Revisions, heads: Revisions) -> Fault:
    where = "it found" if move.found == heads else "the row before it ended at"
    return Fault(
        Kind.HISTORY_BROKEN,
        f"{move.revision} was {move.kind} from {named(start)}, and {where} {named(heads)}: {MOVE_DESCRIPTIONS}",
    )


def _unexpected_end(move: Move, heads: Revisions) -> Fault:
    where = "where the row before it ended" if move.found is None else "which it found"
    sentence = (
        f"{move.revision} was {move.kind} and left {named(move.after)}, and that does not follow from {named(heads)},"
        f" {where}: {MOVE_DESCRIPTIONS}"
    )
    return Fault(Kind.HISTORY_BROKEN, sentence)
