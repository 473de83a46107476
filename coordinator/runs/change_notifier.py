"""Wakes those in this process who wait for a run to change."""

from __future__ import annotations

import asyncio
from collections import defaultdict


class Watchers:
    """Other replicas' writes are not seen here: whoever waits also looks into the store now and then."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def announce(self, request_id: str) -> None:
        for event in self._waiting.get(request_id, ()):
            event.set()

    async def wait(self, request_id: str, timeout_seconds: float) -> None:
        """Returns after the next change, or when the time is up."""
        event = asyncio.Event()
        self._waiting[request_id].add(event)
        try:
            async with asyncio.timeout(timeout_seconds):
                await event.wait()
        except TimeoutError:
            return
        finally:
            self._waiting[request_id].discard(event)
            if not self._waiting[request_id]:
                del self._waiting[request_id]
