"""Wakes tasks of this process that wait for a run to change; the long poll of the API uses it."""

from __future__ import annotations

import asyncio
from collections import defaultdict


class ChangeNotifier:
    """Knows only the writes of this process: a waiting task must also read the store from time to time."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def notify(self, request_id: str) -> None:
        """Wakes all tasks that wait for this run; called by the repository after each write."""
        for event in self._waiting.get(request_id, ()):
            event.set()

    async def wait(self, request_id: str, timeout_seconds: float) -> None:
        """Returns after the next change of the run, or after `timeout_seconds`."""
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
