"""Warnings that callers could cause without limit: logged at once, then at most once a minute with their number."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

INTERVAL_SECONDS = 60.0


class RateLimitedWarnings:
    """Counts by event and `kind`. Both must be words of our code, because the counters are never removed."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log, self._clock = log, clock
        self._logged_at: dict[tuple[str, str], float] = {}
        self._suppressed: dict[tuple[str, str], int] = {}

    def warn(self, event: str, *, kind: str, **facts: Any) -> None:
        """Logs the warning, or counts it if the same one was logged less than a minute ago."""
        key, now = (event, kind), self._clock()
        if key in self._logged_at and now - self._logged_at[key] < INTERVAL_SECONDS:
            self._suppressed[key] = self._suppressed.get(key, 0) + 1
            return
        self._logged_at[key] = now
        more = {"also": suppressed} if (suppressed := self._suppressed.pop(key, 0)) else {}
        self._log.warning(event, extra={"kind": kind, **facts, **more})
