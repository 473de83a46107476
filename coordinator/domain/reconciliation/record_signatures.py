"""Whether the coordinator has signed the record of each run, and whether one without its signature can be its own.

A coordinator that signs never writes an unsigned record again. So records that an earlier release wrote, or that a
retired key signed, have all their events in the audit before the last event of any run whose record is signed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from coordinator.domain.reconciliation.discrepancy import Discrepancy, Kind
from coordinator.domain.run import Run


@dataclass
class RecordSignatures:
    """Takes records and the places of their events in any order."""

    unsigned: set[str] = field(default_factory=set)  # runs whose records do not bear the coordinator's signature
    _ended: set[str] = field(default_factory=set)  # runs that have ended, and whose records are signed
    _last_seq: dict[str, int] = field(default_factory=dict)  # of a run's events that its record confirms

    def add_run(self, run: Run) -> None:
        """Takes a record as it is now; read again, it replaces the older one."""
        self.unsigned.discard(run.request_id)
        if run.is_signed is False:
            self.unsigned.add(run.request_id)
        # One that goes on was signed again after an update, and its last event may be older than that.
        elif run.is_signed and run.state.terminal:
            self._ended.add(run.request_id)

    def add_event(self, request_id: str, seq: int) -> None:
        """Takes the number of an audit event that the record of this run confirms."""
        self._last_seq[request_id] = max(seq, self._last_seq.get(request_id, 0))

    def last_seq(self, request_id: str) -> int:
        """The last event of the run that its record confirms, or 0."""
        return self._last_seq.get(request_id, 0)

    def gaps(self) -> Iterator[Discrepancy]:
        """Unsigned records that are younger than a signed one; call it once everything is read."""
        signed_since = min((self._last_seq[name] for name in self._ended if name in self._last_seq), default=None)
        if signed_since is None:
            return
        for request_id in sorted(self.unsigned):
            if (last := self.last_seq(request_id)) > signed_since:
                yield Discrepancy(
                    kind=Kind.UNSIGNED_RECORD,
                    sentence=f"Run {request_id}: its record bears no signature of the coordinator, which signed its"
                    f" records already when audit event {last} of this run was recorded: the record was written past"
                    " the coordinator, or its signature was taken off.",
                    request_id=request_id,
                    seq=last,
                )
