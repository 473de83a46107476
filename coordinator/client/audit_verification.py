"""Verifies the audit's stored chain. Each call verifies a limited number of events, so that no call takes long."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from coordinator.client.client import CoordinatorClient
from coordinator.client.errors import CannotReach
from coordinator.client.views import View, read

ProgressCallback = Callable[[int, int], None]  # reports progress: events done, events in total


PIECE_EVENTS = 20_000  # the largest number that the audit verifies in one call


class RetiredView(View):
    """A segment whose events are in a file, and no longer in the database."""

    first_seq: int = 0
    last_seq: int = 0
    last_hash: str = ""
    file_sha256: str = ""


class LiveVerdict(View):
    """The result for one range of events, or for several ranges joined. `next_after` is None after the last range."""

    kind: str = "live"
    chain_id: str = ""
    ok: bool = False
    first_seq: int = 0
    last_seq: int = 0
    events: int = 0
    head_seq: int = 0
    anchored_seq: int = 0
    anchored_at: datetime | None = None  # when the last anchor was signed, by the clock of cas-audit
    retired_until: int = 0
    retired: list[RetiredView] = []
    contested: int = 0  # events of which the audit was told two contents
    keys_replaced: int = 0  # keys in the place of lost ones
    anchoring: str = ""  # why no new anchors are signed; empty if they are
    first_bad_seq: int | None = None
    reason: str = ""
    sentence: str = ""
    next_after: int | None = None

    def after(self, before: LiveVerdict | None) -> LiveVerdict:
        """Joins this range with the range before it, and returns one verdict for both."""
        if before is None:
            return self
        events, contested = before.events + self.events, before.contested + self.contested
        joined = {"first_seq": before.first_seq, "events": events, "contested": contested, "retired": before.retired}
        return self.model_copy(update=joined)

    def lines(self) -> list[str]:
        """The verdict in the same words as the verifier, which a test compares, then notes for the reader.

        The verifier itself needs a package that is not installed everywhere, so it is not called here.
        """
        if not self.ok:
            where = f" First bad seq: {self.first_bad_seq}." if self.first_bad_seq is not None else ""
            return [f"NOT OK ({self.reason}). {self.sentence}{where}", *self._notes()]
        if not self.events:
            return ["OK. The audit holds no events to verify.", *self._notes()]
        whole = f"OK. {self.events} events, {self.first_seq} to {self.last_seq}, are one chain"
        at = f", at {_shown(self.anchored_at)}" if self.anchored_at else ""
        return [f"{whole}; signed up to {self.anchored_seq}{at}.", *self._notes()]

    def required_since(self, bound: datetime | None) -> LiveVerdict:
        """The same verdict, or one that does not hold because its last anchor was signed before `bound`."""
        if bound is None or not self.ok or (self.anchored_at is not None and self.anchored_at >= bound):
            return self
        last = f"the last one is of {_shown(self.anchored_at)}" if self.anchored_at else "there is none"
        sentence = (
            f"Nothing shows that this is the present: an anchor of {_shown(bound)} or later was asked for, and {last}."
        )
        return self.model_copy(update={"ok": False, "reason": "old", "sentence": sentence})

    def _notes(self) -> list[str]:
        unsigned = max(self.anchored_seq + 1, self.first_seq)
        retired, last = self.retired_until, self.last_seq
        notes = {
            f"Events 1 to {retired} are in sealed segments, outside the database; verify their files.": retired,
            f"No anchor signs events {unsigned} to {last} yet: they are only consistent.": self.ok and unsigned <= last,
            f"Keys in the place of lost ones: {self.keys_replaced}; only the keys kept outside vouch for them.": (
                self.keys_replaced
            ),
            contested_note(self.contested): self.contested,
            self.anchoring: self.anchoring,
        }
        return [note for note, holds in notes.items() if holds]


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def contested_note(number: int) -> str:
    """How many events were told with two contents, and where to read both; the verifier says it in the same words."""
    return f"Told twice, with different contents: {number} of the events; audit.conflict events name each of them."


def verify_all(client: CoordinatorClient, on_progress: ProgressCallback) -> LiveVerdict:
    """Verifies the whole stored chain; stops at the first range that is not valid.

    Calls `on_progress` after each range but the last. Raises CannotReach if an answer cannot be read.
    """
    verdict: LiveVerdict | None = None
    while True:
        after = verdict.next_after if verdict and verdict.next_after is not None else 0
        piece = read(LiveVerdict, client.audit_verify({"after": after, "limit": PIECE_EVENTS}))
        verdict = piece.after(verdict)
        if not piece.ok or piece.next_after is None:
            return verdict
        if piece.next_after <= after:
            raise CannotReach(
                "the audit's verdict cannot be continued: its next range is the same range again",
                "use a command line of the same release as the coordinator",
                retryable=False,
            )
        on_progress(piece.next_after, piece.head_seq)
