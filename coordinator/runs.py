"""The run records and their index in Dapr state: read, decide, write, and on a conflict read and decide again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from coordinator.domain.run import Change, Run
from coordinator.errors import NoSuchRun
from coordinator.outages import StateContended
from coordinator.ports import DocumentStore
from coordinator.watching import Watchers

INDEX = "run-index"
RECENT_LIMIT = 1000
ATTEMPTS = 40


class OpenRun(BaseModel):
    model_config = ConfigDict(frozen=True)

    request_id: str
    at: datetime


class Index(BaseModel):
    """Dapr state cannot be listed, so this document names the runs; `open` is what a sweep looks after."""

    model_config = ConfigDict(frozen=True)

    open: list[OpenRun] = []
    recent: list[str] = []  # newest first

    def entered(self, request_id: str, at: datetime) -> Index:
        still_open = [entry for entry in self.open if entry.request_id != request_id]
        recent = [request_id, *(known for known in self.recent if known != request_id)]
        return Index(open=[*still_open, OpenRun(request_id=request_id, at=at)], recent=recent[:RECENT_LIMIT])

    def left(self, done: Collection[str], unknown: Collection[str]) -> Index:
        return Index(
            open=[entry for entry in self.open if entry.request_id not in done and entry.request_id not in unknown],
            recent=[request_id for request_id in self.recent if request_id not in unknown],
        )


class Runs:
    def __init__(self, documents: DocumentStore, watchers: Watchers) -> None:
        self._documents, self._watchers = documents, watchers
        # Every acceptance changes the index: in one process they queue up, and only replicas race for it.
        self._index_turn = asyncio.Lock()

    async def read(self, request_id: str) -> Run | None:
        document = await self._documents.read(_key(request_id))
        return None if document is None else Run.model_validate(document.value)

    async def read_many(self, request_ids: Sequence[str]) -> list[Run]:
        """In the given order; ids without a record are left out."""
        found = await self._documents.read_many([_key(request_id) for request_id in request_ids])
        records = [found.get(_key(request_id)) for request_id in request_ids]
        return [Run.model_validate(record.value) for record in records if record is not None]

    async def create(self, run: Run) -> tuple[Run, bool]:
        """The stored run and whether it is this one; the first writer wins for ever."""
        if await self._documents.create(_key(run.request_id), run.model_dump(mode="json")):
            self._watchers.announce(run.request_id)
            return run, True
        stored = await self.read(run.request_id)
        if stored is None:
            raise StateContended(_key(run.request_id))
        return stored, False

    async def change(self, request_id: str, change: Change) -> Run:
        """Applies a change to the newest record; `change` may be called several times and must not act."""
        key = _key(request_id)
        for attempt in range(ATTEMPTS):
            document = await self._documents.read(key)
            if document is None:
                raise NoSuchRun(request_id)
            run = Run.model_validate(document.value)
            changed = change(run)
            if changed == run:
                return run
            changed = changed.model_copy(update={"version": run.version + 1})
            if await self._documents.replace(key, changed.model_dump(mode="json"), document.etag):
                self._watchers.announce(request_id)
                return changed
            await _a_moment(attempt)
        raise StateContended(key)

    async def index(self) -> Index:
        document = await self._documents.read(INDEX)
        return Index() if document is None else Index.model_validate(document.value)

    async def enter(self, request_id: str, at: datetime) -> None:
        await self._change_index(lambda index: index.entered(request_id, at))

    async def leave(self, done: Collection[str], unknown: Collection[str] = ()) -> None:
        """Takes settled runs off the open list, and ids that never got a record off both."""
        if done or unknown:
            await self._change_index(lambda index: index.left(done, unknown))

    async def _change_index(self, change: Callable[[Index], Index]) -> None:
        async with self._index_turn:
            for attempt in range(ATTEMPTS):
                if await self._try_index(change):
                    return
                await _a_moment(attempt)
        raise StateContended(INDEX)

    async def _try_index(self, change: Callable[[Index], Index]) -> bool:
        document = await self._documents.read(INDEX)
        index = Index() if document is None else Index.model_validate(document.value)
        changed = change(index)
        return changed == index or await self._write_index(changed.model_dump(mode="json"), document and document.etag)

    async def _write_index(self, value: dict[str, Any], etag: str | None) -> bool:
        if etag is None:
            return await self._documents.create(INDEX, value)
        return await self._documents.replace(INDEX, value, etag)


async def _a_moment(attempt: int) -> None:
    # Whoever lost a race steps aside for a moment, longer each time, so that twenty writers do not lose it together.
    await asyncio.sleep(random.uniform(0, min(0.005 * (attempt + 1), 0.1)))


def _key(request_id: str) -> str:
    return f"run-{request_id}"
