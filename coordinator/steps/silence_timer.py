"""Measures for how long a service has given no answer that decides anything.

Only the time of asking counts. A clock that jumps, or a coordinator that was not running, makes no service silent; a
process that starts counts anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

# Longer than a question and what Dapr may need to have the next one asked; a doubt that is left belongs to an
# operation whose end another process learnt.
LEFT_AFTER_SECONDS = 3600.0
# A question lasts 20 s at most; more has passed only where this process stood still.
LONGEST_QUESTION_SECONDS = 30.0


@dataclass
class Doubt:
    """Seconds of asking since the last good answer.

    `lying` counts only questions that got an answer that is not true.
    """

    silent: float = 0.0
    lying: float = 0.0
    asked_at: float = 0.0


@dataclass
class Patience:
    """One `Doubt` per operation; the first answer that can be believed removes it."""

    stopwatch: Callable[[], float] = time.monotonic
    _doubts: dict[str, Doubt] = field(default_factory=dict)

    def unanswered(self, operation_id: str, asked_at: float, *, pause: float, lie: bool) -> Doubt:
        """Adds one question. `asked_at` is a reading of `stopwatch`, `pause` the seconds before the next question."""
        now = self.stopwatch()
        if operation_id not in self._doubts:
            self._forget_what_was_left(now)
        doubt = self._doubts.setdefault(operation_id, Doubt())
        doubt.asked_at = now
        seconds = min(max(0.0, now - asked_at), LONGEST_QUESTION_SECONDS) + pause
        doubt.silent += seconds
        doubt.lying += seconds if lie else 0.0
        return doubt

    def answered(self, operation_id: str) -> None:
        """Removes the doubt about an operation."""
        self._doubts.pop(operation_id, None)

    def _forget_what_was_left(self, now: float) -> None:
        for operation_id in [each for each, doubt in self._doubts.items() if now - doubt.asked_at > LEFT_AFTER_SECONDS]:
            del self._doubts[operation_id]
