"""Warnings that others could cause without end: told at once, then once a minute with how many there were."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

EVERY_SECONDS = 60.0


class RateLimitedWarnings:
    """Counts by event and `kind`, which must be words of ours: what is counted is kept for ever."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log, self._clock = log, clock
        self._told_at: dict[tuple[str, str], float] = {}
        self._untold: dict[tuple[str, str], int] = {}

    def warn(self, event: str, *, kind: str, **facts: Any) -> None:
        key, now = (event, kind), self._clock()
        if key in self._told_at and now - self._told_at[key] < EVERY_SECONDS:
            self._untold[key] = self._untold.get(key, 0) + 1
            return
        self._told_at[key] = now
        more = {"also": untold} if (untold := self._untold.pop(key, 0)) else {}
        self._log.warning(event, extra={"kind": kind, **facts, **more})
