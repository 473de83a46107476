"""Measures for how many seconds a service has given no conclusive answer.

Only the time of calls counts. A clock that jumps, or a coordinator that was not running, adds nothing; each process
counts from its start.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

# Longer than a question and what Dapr may need to have the next one asked. An older entry belongs to an
# operation whose end another process received.
ABANDONED_AFTER_SECONDS = 3600.0
# A question lasts 20 s at most; more has passed only where this process stood still.
MAX_QUESTION_SECONDS = 30.0


@dataclass
class Unanswered:
    """Seconds of calls since the last good answer.

    `inconsistent` counts only the questions whose answers contradicted the plan or the service.
    """

    silent: float = 0.0
    inconsistent: float = 0.0
    asked_at: float = 0.0


@dataclass
class SilenceTimer:
    """One `Unanswered` per operation; the first consistent answer removes it."""

    stopwatch: Callable[[], float] = time.monotonic
    _unanswered: dict[str, Unanswered] = field(default_factory=dict)

    def unanswered(self, operation_id: str, asked_at: float, *, pause: float, inconsistent: bool) -> Unanswered:
        """Adds one question. `asked_at` is a reading of `stopwatch`, `pause` the seconds before the next question."""
        now = self.stopwatch()
        if operation_id not in self._unanswered:
            self._forget_abandoned(now)
        unanswered = self._unanswered.setdefault(operation_id, Unanswered())
        unanswered.asked_at = now
        seconds = min(max(0.0, now - asked_at), MAX_QUESTION_SECONDS) + pause
        unanswered.silent += seconds
        unanswered.inconsistent += seconds if inconsistent else 0.0
        return unanswered

    def answered(self, operation_id: str) -> None:
        """Forgets the unanswered questions about an operation."""
        self._unanswered.pop(operation_id, None)

    def _forget_abandoned(self, now: float) -> None:
        for operation_id in [
            each for each, unanswered in self._unanswered.items() if now - unanswered.asked_at > ABANDONED_AFTER_SECONDS
        ]:
            del self._unanswered[operation_id]
