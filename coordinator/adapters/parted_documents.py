"""Splits the record of a large run, so that a change of one step writes that step's part and not all of them.

A record with more steps than fit into one part is a header and parts. The header has all other fields, and the SHA-256
of each part: whoever signs the header vouches for the parts, and an older part that is put back is noticed.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from coordinator.ports import DocumentStore, Provenance, VersionedDocument

# A record of up to 32 steps is one document. Above, a change writes the digests of all parts and one part: with 16
# steps in each, both are about the same for a thousand services.
LARGEST_WHOLE, STEPS_PER_PART = 32, 16
PARTED, PARTS = "steps", "parts"  # the list that is split, and the digests in its place
REMEMBERED = 512
ATTEMPTS = 5

T = TypeVar("T")


class PartedDocuments:
    """Implements DocumentStore around another one. It keeps parts that it has met, by their digests."""

    def __init__(
        self, documents: DocumentStore, steps_per_part: int = STEPS_PER_PART, largest_whole: int = LARGEST_WHOLE
    ) -> None:
        self._documents, self._steps_per_part, self._largest_whole = documents, steps_per_part, largest_whole
        self._known: OrderedDict[str, Sequence[Any]] = OrderedDict()
        # By key: the etag of the header that was read last, and the digests in it, which are those in the store.
        self._read: OrderedDict[str, tuple[str, Sequence[str]]] = OrderedDict()
        self._digested: OrderedDict[str, list[tuple[Sequence[Any], str]]] = OrderedDict()

    async def read(self, key: str) -> VersionedDocument | None:
        """As DocumentStore.read."""
        return (await self.read_many_whole([key], alone=True)).get(key)

    async def read_many(self, keys: Sequence[str]) -> dict[str, VersionedDocument]:
        """As DocumentStore.read_many."""
        return await self.read_many_whole(keys)

    async def read_many_whole(self, keys: Sequence[str], *, alone: bool = False) -> dict[str, VersionedDocument]:
        """Whole documents. A record that changes while it is read is read again; one without a part is a forgery."""
        whole: dict[str, VersionedDocument] = {}
        for _ in range(ATTEMPTS):
            missing = [key for key in keys if key not in whole]
            headers = await self._headers(missing, alone=alone)
            for key, header in headers.items():
                _remember(self._read, key, (header.etag, _digests(header.value)))
            await self._learn_parts(headers)
            whole |= {key: joined for key, each in headers.items() if (joined := self._joined(each)) is not None}
            torn = headers.keys() - whole.keys()
            if not torn:
                return whole
            keys = [key for key in keys if key in torn or key in whole]
        return whole | {key: _forged(headers[key]) for key in torn}

    async def create(self, key: str, value: Mapping[str, Any]) -> bool:
        """As DocumentStore.create; a run has no steps yet when it is created."""
        return await self._documents.create(key, value)

    async def replace(self, key: str, value: Mapping[str, Any], etag: str) -> bool:
        """As DocumentStore.replace. The header decides: it and the parts are written together, or none of them."""
        steps = value.get(PARTED)
        if not isinstance(steps, list) or len(steps) <= self._largest_whole:
            return await self._documents.replace(key, value, etag)
        parts = [steps[at : at + self._steps_per_part] for at in range(0, len(steps), self._steps_per_part)]
        digests = self._digests_of(key, parts)
        header = {**value, PARTED: [], PARTS: digests}
        read_etag, stored = self._read.get(key, ("", []))
        before = stored if read_etag == etag else []
        changed = {
            _key_of_part(key, number): {PARTED: part}
            for number, (part, digest) in enumerate(zip(parts, digests, strict=True))
            if before[number : number + 1] != [digest]
        }
        if not await self._documents.replace_with(key, header, etag, changed):
            return False
        for digest, part in zip(digests, parts, strict=True):
            _remember(self._known, digest, part)
        return True

    def _digests_of(self, key: str, parts: Sequence[Sequence[Any]]) -> list[str]:
        """A part of the same step objects as before has the same digest, and is not written out to find that out."""
        before = self._digested.get(key, [])
        digested = [
            before[number] if number < len(before) and _is_same(part, before[number][0]) else (part, _digest(part))
            for number, part in enumerate(parts)
        ]
        _remember(self._digested, key, digested)
        return [digest for _, digest in digested]

    async def replace_with(
        self, key: str, value: Mapping[str, Any], etag: str, others: Mapping[str, Mapping[str, Any]]
    ) -> bool:
        """As DocumentStore.replace_with."""
        return await self._documents.replace_with(key, value, etag, others)

    async def _headers(self, keys: Sequence[str], *, alone: bool) -> dict[str, VersionedDocument]:
        if not alone:
            return await self._documents.read_many(keys)
        read = {key: await self._documents.read(key) for key in keys}
        return {key: document for key, document in read.items() if document is not None}

    async def _learn_parts(self, headers: Mapping[str, VersionedDocument]) -> None:
        """Reads the parts that the headers name and nobody here has met."""
        unknown = [
            _key_of_part(key, number)
            for key, header in headers.items()
            for number, digest in enumerate(_digests(header.value))
            if digest not in self._known
        ]
        if unknown:
            for document in (await self._documents.read_many(unknown)).values():
                steps = document.value.get(PARTED) if isinstance(document.value, dict) else None
                if isinstance(steps, list):
                    _remember(self._known, _digest(steps), steps)

    def _joined(self, header: VersionedDocument) -> VersionedDocument | None:
        """The whole document; None where a part is another one than its header says."""
        digests = _digests(header.value)
        if not digests:
            return header
        parts = [self._known.get(digest) for digest in digests]
        steps = [step for part in parts if part is not None for step in part]
        value = {name: each for name, each in header.value.items() if name != PARTS} | {PARTED: steps}
        return None if None in parts else header._replace(value=value)


def _remember(memory: OrderedDict[str, T], name: str, value: T) -> None:
    memory[name] = value
    memory.move_to_end(name)
    while len(memory) > REMEMBERED:
        memory.popitem(last=False)


def _forged(header: VersionedDocument) -> VersionedDocument:
    return header._replace(provenance=Provenance.FORGED)


def _digests(value: Any) -> Sequence[str]:
    parts = value.get(PARTS) if isinstance(value, dict) else None
    return parts if isinstance(parts, list) and all(isinstance(part, str) for part in parts) else []


def _digest(steps: Sequence[Any]) -> str:
    text = json.dumps(steps, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _is_same(part: Sequence[Any], other: Sequence[Any]) -> bool:
    return len(part) == len(other) and all(step is known for step, known in zip(part, other, strict=True))


def _key_of_part(key: str, number: int) -> str:
    """No request id has a dot, so it is never the key of a run."""
    return f"{key}.part-{number}"
