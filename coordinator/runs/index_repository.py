"""The index of runs in Dapr state. One task of a process changes it at a time; damage is repaired at the next write."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import reduce
from typing import Any

from coordinator.documents.damaged import DamagedDocuments
from coordinator.documents.keys import FORMER_INDEX, OwnKey
from coordinator.domain.run_index import Index, read_former_index, read_index, salvaged
from coordinator.errors import CoordinatorError
from coordinator.ports import DocumentStore, VersionedDocument
from coordinator.unavailable import StateContended

log = logging.getLogger(__name__)

ATTEMPTS = 40
# A coordinator of version 0.1 that still runs beside this one reads it as an index, and goes on.
EMPTY_INDEX: Mapping[str, Any] = {"open": [], "recent": []}


class RunIndex:
    """Reads and changes the index. It also takes over what version 0.1 kept under another key."""

    def __init__(self, documents: DocumentStore, damaged_documents: DamagedDocuments) -> None:
        self._documents, self._damaged_documents = documents, damaged_documents
        self._last = Index()  # as this process read it last; a damaged or deleted index is restored from it
        # Every acceptance changes the index. Changes of one process that come at the same time are written together;
        # only replicas can collide.
        self._lock = asyncio.Lock()
        self._waiting: list[Callable[[Index], Index]] = []

    async def read(self) -> Index:
        """The index, with entries that a coordinator of version 0.1 wrote meanwhile, without unreadable ones."""
        documents = await self._documents.read_many([OwnKey.INDEX, FORMER_INDEX])
        former, document = documents.get(FORMER_INDEX), documents.get(OwnKey.INDEX)
        index, _ = self._readable(document)
        former_index = former and read_former_index(former.value)
        return index.merged_with(former_index) if former_index else index

    async def change(self, change: Callable[[Index], Index]) -> None:
        """Applies a change to the newest index, together with those that wait at the same time.

        `change` may be called several times and must have no effect but its result. Raises StateUnavailable, and
        StateContended after 40 lost races.
        """
        self._waiting.append(change)
        try:
            async with self._lock:
                if change in self._waiting:  # else it was written together with the one before
                    together, self._waiting = self._waiting, []
                    await self._change_together(together)
        finally:
            if change in self._waiting:
                self._waiting.remove(change)

    async def _change_together(self, together: list[Callable[[Index], Index]]) -> None:
        try:
            await self._change_all(together)
        except BaseException:
            # The others find out for themselves.
            self._waiting = together + self._waiting
            raise

    async def _change_all(self, together: Sequence[Callable[[Index], Index]]) -> None:
        for attempt in range(ATTEMPTS):
            if await self._change_once(lambda index: reduce(lambda index, change: change(index), together, index)):
                return
            await backoff(attempt)
        raise StateContended(OwnKey.INDEX)

    async def tidy(self) -> None:
        """Takes over what is under the former key, and writes a damaged or deleted index anew."""
        former = await self._documents.read(FORMER_INDEX)
        document = await self._documents.read(OwnKey.INDEX)
        if former is not None:
            await self._take_over_former(former, nothing_else=document is None)
        _, is_whole = self._readable(document)
        if not is_whole:
            await self.change(lambda index: index)

    async def make_room(self, former: VersionedDocument, value: Mapping[str, Any]) -> bool:
        """Takes over the former index and replaces it by `value`; False where it changed meanwhile."""
        former_index = read_former_index(former.value)
        if former_index is None:
            return False
        if former_index != Index():
            log.info("index_taken_over", extra={"open": len(former_index.open), "recent": len(former_index.recent)})
            await self.change(lambda index: index.merged_with(former_index))
        return await self._documents.replace(FORMER_INDEX, value, former.etag)

    async def reenter_missing(self, request_id: str, at: datetime, *, is_open: bool) -> None:
        """Enters a run again that was lost with an index.

        Errors are only logged: the reader of the run must not wait.
        """
        if not self._last.is_missing(request_id, at, is_open=is_open):
            return
        try:
            await self.change(lambda index: index.with_recovered(request_id, at, is_open=is_open))
        except CoordinatorError as error:
            log.info("run_not_entered_again", extra={"request_id": request_id, "why": error.detail})

    async def _former_index(self) -> Index:
        former = await self._documents.read(FORMER_INDEX)
        return (former and read_former_index(former.value)) or Index()

    async def _take_over_former(self, former: VersionedDocument, *, nothing_else: bool) -> None:
        if (former_index := read_former_index(former.value)) is not None:
            if former_index != Index():
                await self.make_room(former, EMPTY_INDEX)
        elif nothing_else and not _may_be_a_run(former.value):
            # Nothing was taken over yet, so this was the index; later it would be the run of that name.
            await self._damaged_documents.set_aside(OwnKey.INDEX, former)
            await self.change(lambda index: index.merged_with(salvaged(former.value)))
            await self._documents.replace(FORMER_INDEX, EMPTY_INDEX, former.etag)

    async def _change_once(self, change: Callable[[Index], Index]) -> bool:
        document = await self._documents.read(OwnKey.INDEX)
        index, is_whole = self._readable(document)
        if document is None:
            former_index = await self._former_index()
            index, is_whole = index.merged_with(former_index), is_whole and former_index == Index()
        elif not is_whole:
            await self._damaged_documents.set_aside(OwnKey.INDEX, document)
        changed = change(index)
        if is_whole and changed == index:
            return True
        if await self._write(changed, document and document.etag):
            self._last = changed
            return True
        return False

    def _readable(self, document: VersionedDocument | None) -> tuple[Index, bool]:
        """The index, and whether the store holds exactly that."""
        whole = document and read_index(document.value)
        if whole:
            self._last = whole
            return whole, True
        if document is None and self._last == Index():
            return Index(), True  # nothing was ever accepted
        rest = Index() if document is None else salvaged(document.value)
        return rest.merged_with(self._last), False

    async def _write(self, index: Index, etag: str | None) -> bool:
        value = index.model_dump(mode="json")
        if etag is None:
            return await self._documents.create(OwnKey.INDEX, value)
        return await self._documents.replace(OwnKey.INDEX, value, etag)


def _may_be_a_run(value: Any) -> bool:
    return isinstance(value, dict) and "request_id" in value


async def backoff(attempt: int) -> None:
    """Waits some random milliseconds, more with each attempt, so that many writers do not collide again."""
    await asyncio.sleep(random.uniform(0, min(0.005 * (attempt + 1), 0.1)))
