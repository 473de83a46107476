"""Tells whether a run moves. One whose workflow nobody drives has a record like any other."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from coordinator.domain.run import Run
from coordinator.domain.stalled_run import Standstill
from coordinator.ports import Driver

# An activity talks for 20 s and lasts less than 75 s at the worst, and each that ends is a turn of its workflow.
REPORT_AFTER_SECONDS = 30.0
REPLACE_AFTER_SECONDS = 90.0
MANY = 50
# A run may then wait long for its turn, and one that nobody drives must still be found.
PACE_BEHIND_MANY = 0.1
# Between two looks more has passed only where this process, or the machine, stood still.
MAX_OBSERVED_SECONDS = 25.0


@dataclass
class RunningActivities:
    """How many activities of each run are under way in this process; other replicas count their own."""

    _running: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def running(self, request_id: str) -> Iterator[None]:
        """Counts an activity while the block runs."""
        self._running[request_id] += 1
        try:
            yield
        finally:
            self._running[request_id] -= 1
            if not self._running[request_id]:
                del self._running[request_id]

    def is_running(self, request_id: str) -> bool:
        """Whether an activity of this run is under way here."""
        return request_id in self._running

    @property
    def are_many(self) -> bool:
        """Whether so many are under way that a run may have to wait for its turn."""
        return self._running.total() >= MANY


@dataclass
class Observation:
    """What was seen of a run, at which second of the stopwatch, and for how long it has been the same."""

    content: tuple[Any, ...]
    at: float
    still_seconds: float = 0.0


@dataclass
class WorkflowProgress:
    """Measures for how long a run has not moved.

    A run moves when an activity of it is under way here, when its workflow took a turn, or when its record says more.
    All replicas see the last two. The machine's clock is not asked: only the time between two looks counts.
    """

    activities: RunningActivities
    stopwatch: Callable[[], float] = time.monotonic
    _observations: dict[str, Observation] = field(default_factory=dict)

    def still_seconds(self, run: Run, driver: Driver) -> float:
        """Seconds without movement, as far as this process has seen; 0 when the run moved."""
        now, last = self.stopwatch(), self._observations.get(run.request_id)
        look = Observation(_observed(run, driver), now)
        if last and last.content == look.content and not self.activities.is_running(run.request_id):
            pace = PACE_BEHIND_MANY if self.activities.are_many else 1.0
            look.still_seconds = last.still_seconds + pace * min(now - last.at, MAX_OBSERVED_SECONDS)
        self._observations[run.request_id] = look
        return look.still_seconds

    def forget(self, request_id: str) -> None:
        """Starts measuring anew at the next look."""
        self._observations.pop(request_id, None)

    def retain(self, open_ids: Collection[str]) -> None:
        """Forgets all other runs."""
        for request_id in self._observations.keys() - set(open_ids):
            self.forget(request_id)


def _observed(run: Run, driver: Driver) -> tuple[Any, ...]:
    """What is compared. A standstill that was written, or a delivery that was marked, is no movement."""
    moves = content(run).model_copy(update={"outbox": []})
    return driver.phase, driver.turned_at, run.standstill is Standstill.TAKEN_UP, moves


def content(run: Run) -> Run:
    """The record without its version and without what is said about a standstill."""
    return run.model_copy(update={"version": 0, "standstill": None})
