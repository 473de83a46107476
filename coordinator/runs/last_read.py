"""Run records as this process read them last, so that a change need not read again what was read a moment ago."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from coordinator.domain.run import Run

MOST_RUNS = 32


class VersionedRun(NamedTuple):
    """A run as the store holds it, and the etag with which it may be replaced."""

    run: Run
    etag: str


class LastRead:
    """Each is used once, for a write, which the store refuses if it has a newer one. Who writes nothing must read."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, VersionedRun] = OrderedDict()

    def remember(self, run: Run, etag: str) -> None:
        """Called after each reading of a run that goes on; others are not changed any more."""
        self.take(run.request_id)
        if not run.settled:
            self._runs[run.request_id] = VersionedRun(run, etag)
        if len(self._runs) > MOST_RUNS:
            self._runs.popitem(last=False)

    def take(self, request_id: str) -> VersionedRun | None:
        """The run, which is not known any more afterwards."""
        return self._runs.pop(request_id, None)
