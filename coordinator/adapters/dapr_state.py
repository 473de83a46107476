"""Documents in Dapr state over HTTP. Unlike gRPC it gives a lost race a status of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from coordinator.adapters.daprd import AnswerTooLarge, HttpCaller, Reply
from coordinator.ports import VersionedDocument
from coordinator.unavailable import DocumentTooLarge, SidecarUnreachable, StateUnavailable

# With first-write, state.postgresql reports a lost race as 409, and an existing key only in the text of a 500.
ETAG_MISMATCH = (b"possible etag mismatch", b"no item was updated")
FIRST_WRITE = {"concurrency": "first-write", "consistency": "strong"}
BULK_LIMIT = 100
# daprd takes 4 MiB for a request and refuses more in words that differ from store to store.
DOCUMENT_BYTES = 3_500_000
# The size of a page of run records; each was written within the limit above.
ANSWER_BYTES = 64 * 1024 * 1024


class DaprDocuments:
    """Implements DocumentStore."""

    def __init__(self, daprd: HttpCaller, store: str) -> None:
        self._daprd, self._path = daprd, f"/v1.0/state/{store}"

    async def read(self, key: str) -> VersionedDocument | None:
        """The document and its etag, or None; raises StateUnavailable."""
        reply = await self._ask("GET", f"{self._path}/{key}", parameters={"consistency": "strong"})
        if reply.status == 204 and not reply.etag:
            return None
        if reply.status not in (200, 204):
            raise StateUnavailable(_why(reply))
        return VersionedDocument(_value(reply), reply.etag)

    async def read_many(self, keys: Sequence[str]) -> dict[str, VersionedDocument]:
        """Those documents that exist, in batches of 100; raises StateUnavailable."""
        documents: dict[str, VersionedDocument] = {}
        for start in range(0, len(keys), BULK_LIMIT):
            documents |= await self._read_some(keys[start : start + BULK_LIMIT])
        return documents

    async def _read_some(self, keys: Sequence[str]) -> dict[str, VersionedDocument]:
        """One document that is not JSON makes the whole answer unreadable; then each is read alone."""
        reply = await self._ask("POST", f"{self._path}/bulk", body={"keys": list(keys), "parallelism": 10})
        items = reply.document()
        if reply.status == 200 and isinstance(items, list) and not any(item.get("error") for item in items):
            return {
                item["key"]: VersionedDocument(item.get("data", ""), item["etag"]) for item in items if item.get("etag")
            }
        alone = [await self.read(key) for key in keys]
        return {key: document for key, document in zip(keys, alone, strict=True) if document is not None}

    async def create(self, key: str, value: Mapping[str, Any]) -> bool:
        """False where the key exists; raises StateUnavailable, and DocumentTooLarge above 3.5 MB."""
        return await self._write({"key": key, "value": value})

    async def replace(self, key: str, value: Mapping[str, Any], etag: str) -> bool:
        """False where the document changed since `etag`; raises StateUnavailable, and DocumentTooLarge above 3.5 MB."""
        return await self._write({"key": key, "value": value, "etag": etag})

    async def replace_with(
        self, key: str, value: Mapping[str, Any], etag: str, others: Mapping[str, Mapping[str, Any]]
    ) -> bool:
        """As DocumentStore.replace_with, in one transaction of the store; the 3.5 MB are for all documents together."""
        first = {"key": key, "value": value, "etag": etag, "options": FIRST_WRITE}
        items = [first, *({"key": name, "value": other} for name, other in others.items())]
        body = {"operations": [{"operation": "upsert", "request": item} for item in items]}
        _require_size(key, body)
        return _is_written(await self._ask("POST", f"{self._path}/transaction", body=body))

    async def _write(self, item: dict[str, Any]) -> bool:
        _require_size(item["key"], item["value"])
        return _is_written(await self._ask("POST", self._path, body=[{**item, "options": FIRST_WRITE}]))

    async def _ask(self, method: str, path: str, **arguments: Any) -> Reply:
        try:
            return await self._daprd.call(method, path, most_bytes=ANSWER_BYTES, **arguments)
        except SidecarUnreachable as error:
            raise StateUnavailable(f"the sidecar does not answer ({error.reason})") from error
        except TimeoutError as error:
            raise StateUnavailable("no answer in time") from error
        except AnswerTooLarge as error:
            raise StateUnavailable(f"the store answered {error}") from error


def _require_size(key: str, value: Any) -> None:
    size = len(json.dumps(value, ensure_ascii=False).encode())
    if size > DOCUMENT_BYTES:
        raise DocumentTooLarge(key, size, DOCUMENT_BYTES)


def _is_written(reply: Reply) -> bool:
    if reply.status in (200, 201, 204):
        return True
    if reply.status == 409 or any(words in reply.content for words in ETAG_MISMATCH):
        return False
    raise StateUnavailable(_why(reply))


def _value(reply: Reply) -> Any:
    """What is no JSON is a text to us, which no document of ours is."""
    value = reply.document()
    return reply.content.decode(errors="replace") if value is None and reply.content.strip() != b"null" else value


def _why(reply: Reply) -> str:
    """The store's own text may hold addresses and keys; its code does not."""
    document = reply.document()
    code = document.get("errorCode", "no code") if isinstance(document, dict) else "no code"
    return f"the store answered {reply.status} ({code})"
