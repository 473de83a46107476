"""Records of large runs in parts: whole for whoever reads them, and written a part at a time."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from coordinator.adapters.parted_documents import PartedDocuments
from coordinator.domain.request import read_request
from coordinator.domain.run import Run
from coordinator.ports import Provenance
from tests.document_store_contract import DocumentStoreContract, fresh
from tests.unit.coordinator.fakes import START, MemoryDocuments


def parted(store: MemoryDocuments) -> PartedDocuments:
    return PartedDocuments(store, steps_per_part=2, largest_whole=2)


class TestPartedDocuments(DocumentStoreContract):
    @pytest.fixture
    def store(self) -> PartedDocuments:
        return parted(MemoryDocuments())

    @pytest.fixture
    def run(self) -> Run:
        return Run.accept(read_request({"services": "all"}, default_request_id=fresh()), START)


class Counting(MemoryDocuments):
    """Keeps the keys of each write."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[list[str]] = []

    async def replace_with(
        self, key: str, value: Mapping[str, Any], etag: str, others: Mapping[str, Mapping[str, Any]]
    ) -> bool:
        self.written.append(sorted(others))
        return await super().replace_with(key, value, etag, others)


def record(*steps: str, **more: Any) -> dict[str, Any]:
    return {"request_id": "r", "steps": [{"service": name} for name in steps], **more}


async def stored(documents: PartedDocuments, *steps: str) -> str:
    await documents.create("run-r", record())
    first = await documents.read("run-r")
    assert first is not None
    assert await documents.replace("run-r", record(*steps), first.etag)
    document = await documents.read("run-r")
    assert document is not None
    assert document.value == record(*steps)
    return document.etag


async def test_a_change_of_one_step_writes_the_header_and_the_part_of_that_step() -> None:
    store = Counting()
    documents = parted(store)
    etag = await stored(documents, "a", "b", "c", "d", "e")
    assert store.written == [["run-r.part-0", "run-r.part-1", "run-r.part-2"]]
    assert await documents.replace("run-r", record("a", "b", "C", "d", "e", state="running"), etag)
    assert store.written[1:] == [["run-r.part-1"]]
    for reader in (documents, parted(store)):
        read = await reader.read("run-r")
        assert read is not None
        assert read.value == record("a", "b", "C", "d", "e", state="running")


async def test_a_step_that_becomes_what_it_was_before_is_written_again() -> None:
    store = Counting()
    documents = parted(store)
    etag = await stored(documents, "a", "b", "c")
    for steps in (("A", "b", "c"), ("a", "b", "c")):
        assert await documents.replace("run-r", record(*steps), etag)
        read = await parted(store).read("run-r")
        assert read is not None
        assert read.value == record(*steps)
        again = await documents.read("run-r")
        assert again is not None
        etag = again.etag


async def test_a_replica_that_did_not_read_the_newest_record_writes_nothing() -> None:
    store = MemoryDocuments()
    ours, theirs = (
        parted(store),
        parted(store),
    )
    etag = await stored(ours, "a", "b", "c")
    await theirs.read("run-r")
    assert await theirs.replace("run-r", record("a", "B", "c"), etag)
    assert not await ours.replace("run-r", record("a", "b", "C"), etag)
    read = await ours.read("run-r")
    assert read is not None
    assert read.value == record("a", "B", "c")


@pytest.mark.parametrize("damage", ["changed", "lost", "older"])
async def test_a_part_that_the_header_does_not_name_is_a_forgery(damage: str) -> None:
    store = MemoryDocuments()
    documents = parted(store)
    etag = await stored(documents, "a", "b", "c")
    before = store.documents["run-r.part-0"]
    await documents.replace("run-r", record("A", "b", "c"), etag)
    if damage == "lost":
        del store.documents["run-r.part-0"]
    elif damage == "older":
        store.documents["run-r.part-0"] = before
    else:
        store.documents["run-r.part-0"] = ('{"steps": [{"service": "x"}, {"service": "b"}]}', 9)
    read = await parted(store).read("run-r")
    assert read is not None
    assert read.provenance is Provenance.FORGED


async def test_records_that_change_while_they_are_read_are_read_whole() -> None:
    store = MemoryDocuments()
    writer = parted(store)
    await stored(writer, "0", "0", "0")

    async def write() -> None:
        for number in range(1, 40):
            document = await writer.read("run-r")
            assert document is not None
            assert await writer.replace("run-r", record(*[str(number)] * 3), document.etag)

    async def read() -> None:
        for _ in range(40):
            document = await parted(store).read("run-r")
            assert document is not None
            assert document.provenance is Provenance.UNCHECKED
            assert len({step["service"] for step in document.value["steps"]}) == 1

    await asyncio.gather(write(), read(), read())
