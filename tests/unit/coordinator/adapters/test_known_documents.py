"""A document that was signed or verified a moment ago is not verified again, and not trusted more than before."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.adapters.known_documents import MOST_BYTES, MOST_DOCUMENTS
from coordinator.adapters.signed_documents import FIELD, SignedDocuments
from coordinator.domain.audit_events import SOURCE as COORDINATOR
from coordinator.ports import Provenance, VersionedDocument
from signed_calls.events import canonical
from signed_calls.key_folder import NextKey, make_key, private_file, public_folder, retire_old_keys
from signed_calls.keys import PublicKeys
from signed_calls.signer import Signer
from tests.unit.coordinator.fakes import MemoryDocuments

Make = Callable[[], SignedDocuments]


@pytest.fixture
def store() -> MemoryDocuments:
    return MemoryDocuments()


@pytest.fixture
def signing(tmp_path: Path, store: MemoryDocuments) -> Make:
    def make() -> SignedDocuments:
        make_key(tmp_path, COORDINATOR)
        signer = Signer.from_file(COORDINATOR, private_file(tmp_path, COORDINATOR))
        return SignedDocuments(store, signer, PublicKeys(public_folder(tmp_path)), COORDINATOR)

    return make


class CountingKeys:
    """Counts how often a signature is verified."""

    def __init__(self, keys: PublicKeys) -> None:
        self._keys, self.verified = keys, 0

    def find(self, name: str, digits: str) -> Any:
        found: Any = self._keys.find(name, digits)
        if found is None:
            return None
        counting = self

        class Key:
            def verify(self, *arguments: Any) -> None:
                counting.verified += 1
                found.verify(*arguments)

        return Key()


@pytest.fixture
def counted(tmp_path: Path, store: MemoryDocuments) -> tuple[SignedDocuments, CountingKeys]:
    make_key(tmp_path, COORDINATOR)
    keys = CountingKeys(PublicKeys(public_folder(tmp_path)))
    signer = Signer.from_file(COORDINATOR, private_file(tmp_path, COORDINATOR))
    return SignedDocuments(store, signer, keys, COORDINATOR), keys


async def read(documents: SignedDocuments, key: str = "run-a") -> VersionedDocument:
    document = await documents.read(key)
    assert document is not None
    return document


async def test_what_this_process_has_written_is_not_verified(counted: tuple[SignedDocuments, CountingKeys]) -> None:
    documents, keys = counted
    await documents.create("run-a", {"x": 1.0, "y": [True]})
    assert (await read(documents)).provenance is Provenance.SIGNED
    assert await documents.replace("run-a", {"x": 2}, "1")
    assert (await read(documents)).value == {"x": 2}
    assert keys.verified == 0


async def test_what_another_process_has_written_is_verified_once(
    counted: tuple[SignedDocuments, CountingKeys], signing: Make
) -> None:
    documents, keys = counted
    await documents.create("run-a", {"x": 1})
    await signing().replace("run-a", {"x": 2}, "1")
    for _ in range(3):
        assert (await read(documents)).value == {"x": 2}
    assert keys.verified == 1


@pytest.mark.parametrize("key", ["x", "y", FIELD])
async def test_a_known_document_that_was_changed_in_the_store_is_forged(
    counted: tuple[SignedDocuments, CountingKeys], store: MemoryDocuments, key: str
) -> None:
    documents, _ = counted
    await documents.create("run-a", {"x": 1, "y": {"z": [1]}})
    await read(documents)
    changed = json.loads(store.documents["run-a"][0])
    changed[key] = {"z": [2]} if key != FIELD else {**changed[FIELD], "signature": "call=:AAAA:"}
    store.documents["run-a"] = json.dumps(changed), 1
    assert (await read(documents)).provenance is Provenance.FORGED


async def test_values_that_python_holds_for_equal_are_those_that_were_signed(
    counted: tuple[SignedDocuments, CountingKeys], store: MemoryDocuments
) -> None:
    documents, _ = counted
    await documents.create("run-a", {"x": True, "y": 1})
    text, number = store.documents["run-a"]
    store.documents["run-a"] = text.replace("true", "1").replace('"y": 1', '"y": true'), number
    value = (await read(documents)).value
    assert value["x"] is True
    assert value["y"] is not True


async def test_a_refused_write_is_not_known(counted: tuple[SignedDocuments, CountingKeys]) -> None:
    documents, keys = counted
    await documents.create("run-a", {"x": 1})
    assert not await documents.create("run-a", {"x": 2})
    assert not await documents.replace("run-a", {"x": 2}, "7")
    assert (await read(documents)).value == {"x": 1}
    assert keys.verified == 0


async def test_the_key_of_a_known_document_may_be_changed_and_retired(signing: Make, tmp_path: Path) -> None:
    documents = signing()
    await documents.create("run-a", {"x": 1})
    assert (await read(documents)).provenance is Provenance.SIGNED
    signer, keys = documents._signer, documents._keys
    following = NextKey(tmp_path, COORDINATOR)
    following.publish()
    following.use()
    signer._current.__self__._looked_at = float("-inf")  # type: ignore[attr-defined]
    keys._callers.clear()  # type: ignore[attr-defined]
    assert (await read(documents)).provenance is Provenance.SIGNED_BEFORE
    retire_old_keys(tmp_path, COORDINATOR)
    keys._callers.clear()  # type: ignore[attr-defined]
    assert (await read(documents)).provenance is Provenance.UNKNOWN_KEY


async def test_few_documents_are_known_and_no_large_one(counted: tuple[SignedDocuments, CountingKeys]) -> None:
    documents, keys = counted
    for number in range(MOST_DOCUMENTS + 1):
        await documents.create(f"run-{number}", {"x": number})
    await documents.read("run-1")
    assert keys.verified == 0
    await documents.read("run-0")
    assert keys.verified == 1
    await documents.create("run-large", {"x": "x" * MOST_BYTES})
    await read(documents, "run-large")
    assert keys.verified == 2


JSON = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
NUMBERS = st.sampled_from([1.0, -0.0, 1e22, -1e300, 2.5, 1e-7]) | st.from_regex(r"[:,\[]-?[0-9]+\.0[,\]}]")


def whole_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: whole_numbers(each) for name, each in value.items()}
    if isinstance(value, list):
        return [whole_numbers(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


@given(st.recursive(JSON | NUMBERS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8))
def test_the_form_that_is_signed_has_whole_numbers_only_where_daprd_writes_them(value: Any) -> None:
    plain = json.dumps(whole_numbers(value), sort_keys=True, separators=(",", ":"))
    assert canonical(value) == plain.encode()
