"""How long events have waited for a signature, by this process's own clock."""

from __future__ import annotations

import time
from collections.abc import Callable


class UnsignedAge:
    """`recorded_at` is the database's clock: whoever sets it could put off a signature for years."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._signed_seq = 0
        self._since: float | None = None

    def note(self, signed_seq: int, head_seq: int) -> None:
        """Takes what the store holds now. The oldest unsigned event is as old as the first look that found it."""
        if head_seq <= signed_seq:
            self._since = None
        elif self._since is None or signed_seq != self._signed_seq:
            self._since = self._clock()
        self._signed_seq = signed_seq

    @property
    def seconds(self) -> float:
        """Since when the oldest unsigned event is known to this process, or 0."""
        return 0.0 if self._since is None else self._clock() - self._since
