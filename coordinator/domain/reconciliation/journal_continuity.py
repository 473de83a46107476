"""What one journal proves by itself: every revision follows from the one before, every attempt has both ends.

Numbers without gaps prove nothing: a row that was rolled back leaves a gap in the sequence as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from coordinator.domain.reconciliation.discrepancy import Discrepancy, Kind
from coordinator.domain.reconciliation.version_table import VersionTable, named
from migration_sidecar.contract.journal import HistoryPosition, JournalEntry

EFFECTS = ("applied", "reverted", "stamped")
ENDINGS = ("failed", "refused", "cancelled", "resolved")
# An attempt without an end is one of these: still under way, or there was nothing left to do when its turn came.
NEEDS_NO_END = (None, "accepted", "running", "cancelling", "succeeded")
SETTLED_SECONDS = 60.0


@dataclass
class Attempts:
    """The attempts of one operation, by their numbers."""

    begun: set[int] = field(default_factory=set)
    open: set[int] = field(default_factory=set)
    mentioned: set[int] = field(default_factory=set)


class JournalContinuity:
    """Reads one journal row by row and finds what contradicts an earlier row."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._tables: defaultdict[str, VersionTable] = defaultdict(VersionTable)
        self._attempts: defaultdict[str, Attempts] = defaultdict(Attempts)
        self._gaps: list[Discrepancy] = []

    @property
    def initial_revisions(self) -> list[str]:
        """Versions that the first row met: they were applied before there was a journal."""
        return sorted({revision for table in self._tables.values() for revision in table.initial_heads or ()})

    def add(self, entry: JournalEntry) -> None:
        """Takes the next row; rows must come in order. Rows of unknown kinds are reported as unreadable elsewhere."""
        if entry.kind == "unreadable":
            return
        self._note_attempt(entry)
        if entry.kind in EFFECTS and (fault := self._tables[entry.history].apply(entry)) is not None:
            self._gaps.append(self._gap(*fault))

    def gaps(self, positions: list[HistoryPosition]) -> Iterator[Discrepancy]:
        """What was found, with what the version table says at the end; call it once all rows are read."""
        yield from self._gaps
        for operation_id, attempts in self._attempts.items():
            yield from self._incomplete_attempts(operation_id, attempts)
        for position in positions:
            yield from self._check_position(position)

    def _note_attempt(self, entry: JournalEntry) -> None:
        attempts = self._attempts[entry.operation_id]
        attempts.mentioned.add(entry.attempt)
        if entry.kind == "attempt":
            attempts.begun.add(entry.attempt)
            if entry.operation_state not in NEEDS_NO_END and entry.seconds_ago > SETTLED_SECONDS:
                attempts.open.add(entry.attempt)
            return
        attempts.open.discard(entry.attempt)
        # An end may come without a beginning: without a session nothing could be written before.
        if entry.kind not in ENDINGS and entry.attempt not in attempts.begun:
            attempts.begun.add(entry.attempt)
            sentence = f"Attempt {entry.attempt} of {entry.operation_id} had effects, and no row says that it began."
            self._gaps.append(self._gap(Kind.ATTEMPT_MISSING, sentence))

    def _incomplete_attempts(self, operation_id: str, attempts: Attempts) -> Iterator[Discrepancy]:
        for number in sorted(attempts.open):
            sentence = f"Attempt {number} of {operation_id} began, its operation is over, and no row says how it ended."
            yield self._gap(Kind.ATTEMPT_WITHOUT_END, sentence)
        for number in sorted(set(range(1, max(attempts.mentioned))) - attempts.mentioned):
            sentence = f"Attempt {number} of {operation_id} has no row, and a later one has."
            yield self._gap(Kind.ATTEMPT_MISSING, sentence)

    def _check_position(self, position: HistoryPosition) -> Iterator[Discrepancy]:
        table = self._tables.get(position.history)
        if table is None or table.heads is None or table.heads == frozenset(position.revisions):
            return
        current, expected = named(position.revisions), named(table.heads)
        yield self._gap(
            Kind.VERSION_UNEXPLAINED,
            f"{position.history} is at {current}, and the journal leads to {expected}: a row was removed, or the"
            " version was moved past the journal.",
        )

    def _gap(self, kind: Kind, sentence: str) -> Discrepancy:
        return Discrepancy(kind=kind, sentence=f"{self._service}: {sentence}", service=self._service)
