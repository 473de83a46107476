"""How long a service has been asked without an answer that decides anything.

Only asking counts: a clock that jumps, a coordinator or a whole fleet that was not there, and a workflow that nobody
drove make no service silent. A process that starts counts anew.
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
    """Seconds of asking since the last believable answer; those that ended with a lie are counted once more."""

    silent: float = 0.0
    lying: float = 0.0
    asked_at: float = 0.0


@dataclass
class Patience:
    """One doubt per operation that is being asked for, forgotten with the first answer that can be believed."""

    stopwatch: Callable[[], float] = time.monotonic
    _doubts: dict[str, Doubt] = field(default_factory=dict)

    def unanswered(self, operation_id: str, asked_at: float, *, pause: float, lie: bool) -> Doubt:
        """`asked_at` is what the stopwatch said, `pause` what is waited before the next question."""
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
        self._doubts.pop(operation_id, None)

    def _forget_what_was_left(self, now: float) -> None:
        for operation_id in [each for each, doubt in self._doubts.items() if now - doubt.asked_at > LEFT_AFTER_SECONDS]:
            del self._doubts[operation_id]
