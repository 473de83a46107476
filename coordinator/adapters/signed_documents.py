"""Signs what the coordinator writes to Dapr state, and tells of what it reads whether it was written by it.

Whoever reaches the store could otherwise write a run, which would be carried out, or an event, which the coordinator
would tell the audit in its own name. An older document of the same key that is put back is not noticed here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coordinator.adapters.known_documents import KnownDocument, KnownDocuments
from coordinator.ports import DocumentStore, Provenance, VersionedDocument
from signed_calls import signature
from signed_calls.events import canonical
from signed_calls.names import split_key_id
from signed_calls.refusal import CallRefused, Refusal
from signed_calls.signature import Call
from signed_calls.signer import Signer
from signed_calls.verification import Keys, prove

FIELD = "signature"  # beside the fields of the document
METHOD = "STORE"


class SignedDocuments:
    """Implements DocumentStore around another one. `app_id` is the coordinator's own name, whose keys are asked for."""

    def __init__(
        self, documents: DocumentStore, signer: Signer, keys: Keys, app_id: str, *, unsigned_are_ours: bool = False
    ) -> None:
        self._documents, self._signer, self._keys, self._app_id = documents, signer, keys, app_id
        self._without_proof = frozenset({Provenance.UNSIGNED, Provenance.UNKNOWN_KEY}) if unsigned_are_ours else ()
        self._known = KnownDocuments()

    async def read(self, key: str) -> VersionedDocument | None:
        """As DocumentStore.read."""
        document = await self._documents.read(key)
        return None if document is None else self._verified(key, document)

    async def read_many(self, keys: Sequence[str]) -> dict[str, VersionedDocument]:
        """As DocumentStore.read_many."""
        documents = await self._documents.read_many(keys)
        return {key: self._verified(key, document) for key, document in documents.items()}

    async def create(self, key: str, value: Mapping[str, Any]) -> bool:
        """As DocumentStore.create."""
        known, size = self._signed(key, value)
        return self._remembered(key, known, size, await self._documents.create(key, _stored(known)))

    async def replace(self, key: str, value: Mapping[str, Any], etag: str) -> bool:
        """As DocumentStore.replace."""
        known, size = self._signed(key, value)
        return self._remembered(key, known, size, await self._documents.replace(key, _stored(known), etag))

    async def replace_with(
        self, key: str, value: Mapping[str, Any], etag: str, others: Mapping[str, Mapping[str, Any]]
    ) -> bool:
        """As DocumentStore.replace_with."""
        known, size = self._signed(key, value)
        signed = {name: _stored(self._signed(name, other)[0]) for name, other in others.items()}
        written = await self._documents.replace_with(key, _stored(known), etag, signed)
        return self._remembered(key, known, size, written)

    def _remembered(self, key: str, known: KnownDocument, size: int, was_written: bool) -> bool:
        if was_written:
            self._known.remember(key, known, size)
        return was_written

    def _call(self, key: str, value: Mapping[str, Any]) -> Call:
        return Call(METHOD, f"/{key}", self._app_id, canonical(value))

    def _signed(self, key: str, value: Mapping[str, Any]) -> tuple[KnownDocument, int]:
        """The document with a signature, and how many bytes it has."""
        call, key_id = self._call(key, value), self._signer.key_id
        headers = self._signer.sign(call)
        given = {name: headers[name] for name in (signature.INPUT_HEADER, signature.SIGNATURE_HEADER)}
        return KnownDocument(value, given, key_id), len(call.body)

    def _verified(self, key: str, document: VersionedDocument) -> VersionedDocument:
        value, provenance = document.value, Provenance.UNSIGNED
        if isinstance(value, dict) and FIELD in value:
            given, value = value[FIELD], {name: each for name, each in value.items() if name != FIELD}
            if (known := self._known.find(key, value, given)) is not None and self._is_good(known.key_id):
                return VersionedDocument(known.value, document.etag, Provenance.SIGNED)
            provenance = self._provenance(key, value, given)
        if provenance in self._without_proof:
            provenance = Provenance.UNCHECKED
        return VersionedDocument(value, document.etag, provenance)

    def _is_good(self, key_id: str) -> bool:
        """Whether it is the key that signs today, and nobody has retired it."""
        named = split_key_id(key_id)
        return key_id == self._signer.key_id and named is not None and self._keys.find(*named) is not None

    def _provenance(self, key: str, value: Mapping[str, Any], given: Any) -> Provenance:
        headers = given if isinstance(given, dict) else {}
        try:
            call = self._call(key, value)
            received = signature.read(
                [
                    (signature.DIGEST_HEADER, signature.digest_of(call.body)),
                    (signature.AUDIENCE_HEADER, call.audience),
                    *((name, text) for name, text in headers.items() if isinstance(text, str)),
                ]
            )
            signed_by = prove(received, call.method, call.target, self._keys)
        except CallRefused as refused:
            # The key may have been retired since; then nobody can tell.
            return Provenance.UNKNOWN_KEY if refused.kind is Refusal.UNKNOWN_KEY else Provenance.FORGED
        except (ValueError, RecursionError):
            return Provenance.FORGED
        if signed_by.name != self._app_id:
            return Provenance.FORGED
        if signed_by.key_id != self._signer.key_id:
            return Provenance.SIGNED_BEFORE
        self._known.remember(key, KnownDocument(value, given, signed_by.key_id), len(call.body))
        return Provenance.SIGNED


def _stored(document: KnownDocument) -> dict[str, Any]:
    return {**document.value, FIELD: document.signature}
