"""Documents in Dapr state over HTTP, where a lost race has a status of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from coordinator.adapters.sidecar import call
from coordinator.outages import SidecarUnreachable, StateUnavailable
from coordinator.ports import Document

# With first-write, state.postgresql reports a lost race as 409, and an existing key only in the text of a 500.
LOST_RACE = ("possible etag mismatch", "no item was updated")
BULK_LIMIT = 100


class DaprDocuments:
    """Implements DocumentStore."""

    def __init__(self, client: httpx.AsyncClient, store: str) -> None:
        self._client, self._path = client, f"/v1.0/state/{store}"

    async def read(self, key: str) -> Document | None:
        response = await self._ask("GET", f"{self._path}/{key}", parameters={"consistency": "strong"})
        if response.status_code == 204:
            return None
        if response.status_code != 200:
            raise StateUnavailable(_why(response))
        return Document(response.json(), response.headers.get("etag", ""))

    async def read_many(self, keys: Sequence[str]) -> dict[str, Document]:
        found: dict[str, Document] = {}
        for start in range(0, len(keys), BULK_LIMIT):
            body = {"keys": list(keys[start : start + BULK_LIMIT]), "parallelism": 10}
            response = await self._ask("POST", f"{self._path}/bulk", body=body)
            if response.status_code != 200:
                raise StateUnavailable(_why(response))
            for item in response.json():
                if item.get("error"):
                    raise StateUnavailable("one of several keys could not be read")
                if item.get("data") is not None:
                    found[item["key"]] = Document(item["data"], item.get("etag", ""))
        return found

    async def create(self, key: str, value: Mapping[str, Any]) -> bool:
        return await self._write({"key": key, "value": value})

    async def replace(self, key: str, value: Mapping[str, Any], etag: str) -> bool:
        return await self._write({"key": key, "value": value, "etag": etag})

    async def _write(self, item: dict[str, Any]) -> bool:
        item["options"] = {"concurrency": "first-write", "consistency": "strong"}
        response = await self._ask("POST", self._path, body=[item])
        if response.status_code in (200, 201, 204):
            return True
        if response.status_code == 409 or any(words in response.text for words in LOST_RACE):
            return False
        raise StateUnavailable(_why(response))

    async def _ask(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            return await call(self._client, method, path, **arguments)
        except SidecarUnreachable as error:
            raise StateUnavailable(f"the sidecar does not answer ({error.reason})") from error
        except TimeoutError as error:
            raise StateUnavailable("no answer in time") from error


def _why(response: httpx.Response) -> str:
    """The store's own text may hold addresses and keys; its code does not."""
    try:
        code = response.json().get("errorCode", "no code")
    except (ValueError, AttributeError):
        code = "no code"
    return f"the store answered {response.status_code} ({code})"
