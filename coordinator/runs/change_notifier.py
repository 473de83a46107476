"""Wakes tasks of this process that wait for a run to change; the long poll of the API uses it."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from coordinator.domain.run import Run


class ChangeNotifier:
    """Knows only the writes of this process: a waiting task must also read the store from time to time."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[asyncio.Future[Run | None]]] = defaultdict(set)

    def notify(self, request_id: str, run: Run | None = None) -> None:
        """Wakes all tasks that wait for this run, and gives them the record if it was just written."""
        for waiting in self._waiting.get(request_id, ()):
            if not waiting.done():
                waiting.set_result(run)

    async def wait(self, request_id: str, timeout_seconds: float) -> Run | None:
        """Returns after the next change of the run, or after `timeout_seconds`.

        None where the store has to be read, because nothing was told or only that the audit has more.
        """
        told: asyncio.Future[Run | None] = asyncio.get_running_loop().create_future()
        self._waiting[request_id].add(told)
        try:
            async with asyncio.timeout(timeout_seconds):
                return await told
        except TimeoutError:
            return None
        finally:
            self._waiting[request_id].discard(told)
            if not self._waiting[request_id]:
                del self._waiting[request_id]
