"""Remembers which calls were received, for as long as one of them could be repeated. One memory per process."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable

from signed_calls.refusal import CallRefused, Refusal

CAPACITY = 100_000


class ReplayMemory:
    """Bounded. It refuses when it is full, because forgetting one early would let that one be repeated."""

    def __init__(self, capacity: int = CAPACITY, clock: Callable[[], float] = time.time) -> None:
        self._capacity, self._clock = capacity, clock
        self._known: set[tuple[str, str]] = set()
        self._by_end: list[tuple[float, tuple[str, str]]] = []

    def __len__(self) -> int:
        """How many calls are remembered."""
        return len(self._known)

    def admit(self, key_id: str, nonce: str, until: float) -> None:
        """Remembers the call up to and including `until`. Raises CallRefused if it is known, or if there is no room."""
        self._forget_what_is_over()
        call = (key_id, nonce)
        if call in self._known:
            raise CallRefused(Refusal.REPEATED)
        if len(self._known) >= self._capacity:
            raise CallRefused(Refusal.MEMORY_FULL)
        self._known.add(call)
        heapq.heappush(self._by_end, (until, call))

    def _forget_what_is_over(self) -> None:
        now = self._clock()
        while self._by_end and self._by_end[0][0] < now:
            self._known.discard(heapq.heappop(self._by_end)[1])
