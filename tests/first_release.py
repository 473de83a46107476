"""How the first release kept its index, which a rolling update runs beside today's for a while."""

from __future__ import annotations

import asyncio
from datetime import datetime

from pydantic import BaseModel

from coordinator.ports import DocumentStore


class OpenRun(BaseModel):
    request_id: str
    at: datetime


class FirstIndex(BaseModel):
    open: list[OpenRun] = []
    recent: list[str] = []


class FirstRelease:
    """Reads, decides, writes under `run-index`, and on a conflict once more."""

    def __init__(self, store: DocumentStore) -> None:
        self._store = store

    async def enter(self, request_id: str, at: datetime) -> None:
        while True:
            document = await self._store.read("run-index")
            index = FirstIndex() if document is None else FirstIndex.model_validate(document.value)
            index.open.append(OpenRun(request_id=request_id, at=at))
            index.recent.insert(0, request_id)
            value = index.model_dump(mode="json")
            if document is None:
                done = await self._store.create("run-index", value)
            else:
                done = await self._store.replace("run-index", value, document.etag)
            if done:
                return
            await asyncio.sleep(0)
