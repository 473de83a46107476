"""Interrupts code that takes too long. Only the process itself can say at which line it is."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, process_time
from typing import TYPE_CHECKING, Any

from migration_sidecar.protocol.busy_machine import seconds_without_processor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from migration_sidecar.protocol.reports import SendReport

SHORTEST_PAUSE = 0.05


class TimeLimit:
    """The limit of one block. Time in which a busy machine gave this process no processor does not count."""

    def __init__(
        self, seconds: float, refusal: Callable[[str], BaseException], report: SendReport, outside: Any = None
    ) -> None:
        self._seconds = seconds
        self._refusal = refusal
        self._report = report
        self._outside = outside  # the frame that has the block
        self._began = _counted()
        self._waiting_seconds: float | None = None
        self._wait_began = 0.0
        self._waited_too_long: Callable[[], BaseException] | None = None
        self._ended = False

    def watch_waiting(self, seconds: float, refusal: Callable[[], BaseException]) -> None:
        """From now on also raises `refusal` after so many seconds in which the process waited and computed nothing."""
        self._waiting_seconds, self._wait_began, self._waited_too_long = seconds, _waited(), refusal
        self.start()

    def start(self) -> None:
        """Sets the clock that asks again."""
        if self._ended:
            return
        left = [self._seconds - (_counted() - self._began)] if self._seconds else []
        if self._waiting_seconds is not None:
            left.append(self._waiting_seconds - (_waited() - self._wait_began))
        signal.setitimer(signal.ITIMER_REAL, max(SHORTEST_PAUSE, min(left)) if left else 0)

    def end(self) -> None:
        """Takes the limit away."""
        self._ended = True
        signal.setitimer(signal.ITIMER_REAL, 0)

    def check(self, _: int, frame: Any) -> None:
        """The handler of the signal. Raises the refusal of the limit that has passed, if one has."""
        if self._seconds and _counted() - self._began >= self._seconds:
            self._report({"event": "hangs", "after_seconds": self._seconds})
            raise self._refusal(_place_of(frame, self._outside))
        if self._waited_too_long is not None and _waited() - self._wait_began >= (self._waiting_seconds or 0):
            raise self._waited_too_long()
        self.start()


@contextmanager
def time_limit(seconds: float, refusal: Callable[[str], BaseException], report: SendReport) -> Iterator[TimeLimit]:
    """After so many seconds reports `hangs` and raises `refusal`, called with file and line. 0 means no limit.

    If the code catches the error and goes on, the service ends the process a little later.
    """
    limit = TimeLimit(seconds, refusal, report, sys._getframe(2))
    signal.signal(signal.SIGALRM, limit.check)
    limit.start()
    try:
        yield limit
    finally:
        limit.end()


def _counted() -> float:
    return monotonic() - seconds_without_processor()


def _waited() -> float:
    return _counted() - process_time()


def _place_of(frame: Any, outside: Any) -> str:
    """File and line of env.py or of the revision file that runs, and of the module that it imports at this moment."""
    places = []
    while frame is not None and frame is not outside:
        if frame.f_code.co_name == "<module>":
            places.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}")
        frame = frame.f_back
    if len(places) < 2:
        return "".join(places)
    return f"{places[-1]}, where {places[0]} is being imported"
