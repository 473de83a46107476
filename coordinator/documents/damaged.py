"""Documents in Dapr state that cannot be read: logged once each; of the coordinator's own ones a copy is kept."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass, field

from coordinator.documents.keys import OwnKey, key_beside
from coordinator.ports import DocumentStore, VersionedDocument

log = logging.getLogger(__name__)

MAX_NAMED = 100
# Far below the size of a request that daprd accepts.
MAX_STORED_CHARACTERS = 1024 * 1024


@dataclass
class DamagedDocuments:
    """The damaged documents that this process read. Readiness, metrics and the list of runs name them."""

    documents: DocumentStore
    copies: dict[str, str] = field(default_factory=dict)  # by key: the key of the copy, empty where there is none

    def record_met(self, key: str, copy: str = "") -> None:
        """Notes a damaged document, once however often it is read; only the first 100 are remembered."""
        if self.copies.get(key) == copy or len(self.copies) >= MAX_NAMED:
            return
        self.copies[key] = copy
        log.error("document_damaged", extra={"key": key, "copy": copy or None})

    def record_repair(self, key: str) -> None:
        """Forgets a document that can be read again."""
        self.copies.pop(key, None)

    async def set_aside(self, key: OwnKey, document: VersionedDocument) -> None:
        """Stores a copy under another key, so that the document can be begun anew; raises StateUnavailable."""
        text = json.dumps(document.value, sort_keys=True)
        copy = key_beside(key, hashlib.sha256(text.encode()).hexdigest())
        whole = len(text) <= MAX_STORED_CHARACTERS
        copied = document.value if whole else text[:MAX_STORED_CHARACTERS]
        await self.documents.create(copy, {"key": key, "cut": not whole, "document": copied})
        self.record_met(key, copy)
