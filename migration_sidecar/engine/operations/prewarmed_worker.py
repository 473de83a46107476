"""Prepares one worker process before a migration is requested: its files are loaded and its connection is open."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from migration_sidecar.alembic_environment.revision_files import RevisionFiles
from migration_sidecar.forkserver.client import ForkserverClient, WorkerProcess
from migration_sidecar.protocol.jobs import MigrateJob

TTL_SECONDS = 60.0  # after the last plan or status


@dataclass
class _Ready:
    key: str
    process: WorkerProcess
    stack: AsyncExitStack
    expiry: asyncio.TimerHandle


class PrewarmedWorker:
    """Holds at most one process. It is replaced if a file, the target or its connection has changed."""

    def __init__(self, forkserver: ForkserverClient, revision_files: RevisionFiles) -> None:
        self._forkserver = forkserver
        self._revision_files = revision_files
        self._ready: _Ready | None = None
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_ready(self) -> bool:
        """Whether a prepared process is running."""
        return self._ready is not None and not self._ready.process.has_exited

    def prewarm(self, job: MigrateJob) -> None:
        """Prepares a process for this job in the background; returns at once."""
        self._in_background(self._prepare(job))

    @asynccontextmanager
    async def take(self, job: MigrateJob, *, fresh: bool = False) -> AsyncIterator[WorkerProcess]:
        """Gives the prepared process if it was prepared for exactly this job, otherwise or if `fresh` a new one."""
        async with self._lock:
            ready, self._ready = self._ready, None
        usable = ready is not None and ready.key == self._key(job) and not ready.process.has_exited and not fresh
        if ready is not None and not usable:
            await self._stop(ready)
        async with AsyncExitStack() as stack:
            if ready is not None and usable:
                ready.expiry.cancel()
                await stack.enter_async_context(ready.stack)
                yield ready.process
            else:
                yield await stack.enter_async_context(self._forkserver.run(job))

    async def close(self) -> None:
        """Cancels the background tasks and ends the prepared process."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stop_ready()

    async def _prepare(self, job: MigrateJob) -> None:
        key = self._key(job)
        async with self._lock:
            if self._ready is not None:
                if self._ready.key == key and not self._ready.process.has_exited:
                    self._ready.expiry.cancel()
                    self._ready.expiry = self._expire_later()
                    return
                await self._stop(self._ready)
                self._ready = None
            stack = AsyncExitStack()
            process = await stack.enter_async_context(self._forkserver.run(job))
            self._ready = _Ready(key, process, stack, self._expire_later())

    def _expire_later(self) -> asyncio.TimerHandle:
        loop = asyncio.get_running_loop()
        return loop.call_later(TTL_SECONDS, lambda: self._in_background(self._stop_ready()))

    async def _stop_ready(self) -> None:
        async with self._lock:
            ready, self._ready = self._ready, None
        if ready is not None:
            await self._stop(ready)

    async def _stop(self, ready: _Ready) -> None:
        ready.expiry.cancel()
        await ready.stack.aclose()

    def _in_background(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _key(self, job: MigrateJob) -> str:
        return json.dumps([job, self._revision_files.fingerprint()], sort_keys=True)
