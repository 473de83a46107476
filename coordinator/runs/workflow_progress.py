"""Measures whether a run makes progress. The record alone does not show whether its workflow still runs."""

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

# A turn lasts 20 s, and a run that is held takes one every 30 s. Only a service that does not answer makes it longer;
# a run that is taken up too early is driven twice for a moment, which changes nothing.
REPORT_AFTER_SECONDS = 45.0
REPLACE_AFTER_SECONDS = 60.0
BUSY_ACTIVITIES = 50
# A run may then wait long for its turn, but one whose workflow stopped must still be detected.
BUSY_TIME_FACTOR = 0.1
# More passes between two observations only where this process, or the machine, stood still.
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
    def is_busy(self) -> bool:
        """Whether so many are under way that a run may have to wait for its turn."""
        return self._running.total() >= BUSY_ACTIVITIES


@dataclass
class Observation:
    """The state of a run, the second of the stopwatch when it was read, and for how many seconds it was the same."""

    content: tuple[Any, ...]
    at: float
    still_seconds: float = 0.0


@dataclass
class WorkflowProgress:
    """Measures for how long a run has not moved.

    A run moves when an activity of it is under way here, when its workflow took a turn, or when its record says more.
    All replicas see the last two. The machine's clock is not asked: only the time between two observations counts.
    """

    activities: RunningActivities
    stopwatch: Callable[[], float] = time.monotonic
    _observations: dict[str, Observation] = field(default_factory=dict)

    def still_seconds(self, run: Run, driver: Driver) -> float:
        """Seconds without progress, as this process measured them; 0 when the run made progress."""
        now, last = self.stopwatch(), self._observations.get(run.request_id)
        observation = Observation(_observed_state(run, driver), now)
        if last and last.content == observation.content and not self.activities.is_running(run.request_id):
            factor = BUSY_TIME_FACTOR if self.activities.is_busy else 1.0
            observation.still_seconds = last.still_seconds + factor * min(now - last.at, MAX_OBSERVED_SECONDS)
        self._observations[run.request_id] = observation
        return observation.still_seconds

    def forget(self, request_id: str) -> None:
        """Starts measuring anew at the next observation."""
        self._observations.pop(request_id, None)

    def retain(self, open_ids: Collection[str]) -> None:
        """Forgets all other runs."""
        for request_id in self._observations.keys() - set(open_ids):
            self.forget(request_id)


def _observed_state(run: Run, driver: Driver) -> tuple[Any, ...]:
    """What is compared. A standstill that was written, or a delivery that was marked, is no movement."""
    progress = content(run).model_copy(update={"outbox": []})
    return driver.phase, driver.turned_at, run.standstill is Standstill.TAKEN_UP, progress


def content(run: Run) -> Run:
    """The record without its version and without what is said about a standstill."""
    return run.model_copy(update={"version": 0, "standstill": None})
