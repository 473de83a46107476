"""What every DocumentStore must do; run against the one in memory and against Dapr's."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

import pytest

from coordinator.domain.run import Run
from coordinator.ports import DocumentStore, VersionedDocument
from coordinator.runs.change_notifier import ChangeNotifier
from coordinator.runs.repository import RunRepository
from tests.first_release import FirstRelease


class DocumentStoreContract:
    """Subclasses give the `store` fixture."""

    async def test_what_was_never_written_is_not_there(self, store: DocumentStore) -> None:
        assert await store.read(fresh()) is None
        assert await store.read_many([fresh(), fresh()]) == {}

    async def test_a_document_is_read_as_it_was_written(self, store: DocumentStore) -> None:
        key, value = fresh(), {"text": "ä\n\"'\\ 🙂", "list": [1, None, True, 1.5], "empty": {}}
        assert await store.create(key, value)
        found = await store.read(key)
        assert found is not None
        assert found.value == value

    async def test_only_the_first_creation_of_a_key_counts(self, store: DocumentStore) -> None:
        key = fresh()
        assert await store.create(key, {"n": 1})
        assert not await store.create(key, {"n": 2})
        assert await value_of(store, key) == {"n": 1}

    async def test_of_many_creators_at_once_exactly_one_wins(self, store: DocumentStore) -> None:
        key = fresh()
        won = await asyncio.gather(*(store.create(key, {"n": n}) for n in range(8)))
        assert won.count(True) == 1
        assert await value_of(store, key) == {"n": won.index(True)}

    async def test_a_document_is_replaced_only_by_who_has_read_it_last(self, store: DocumentStore) -> None:
        key = fresh()
        await store.create(key, {"n": 1})
        seen = await store.read(key)
        assert seen is not None
        assert await store.replace(key, {"n": 2}, seen.etag)
        assert not await store.replace(key, {"n": 3}, seen.etag)
        assert await value_of(store, key) == {"n": 2}

    async def test_a_document_that_is_not_there_cannot_be_replaced(self, store: DocumentStore) -> None:
        key = fresh()
        await store.create(key, {})
        seen = await store.read(key)
        assert seen is not None
        assert not await store.replace(fresh(), {"n": 1}, seen.etag)

    async def test_several_documents_are_written_together_or_not_at_all(self, store: DocumentStore) -> None:
        key, new, old = fresh(), fresh(), fresh()
        await store.create(key, {"n": 1})
        await store.create(old, {"n": 1})
        seen = await store.read(key)
        assert seen is not None
        assert await store.replace_with(key, {"n": 2}, seen.etag, {new: {"n": 2}, old: {"n": 2}})
        assert [await value_of(store, each) for each in (key, new, old)] == [{"n": 2}] * 3
        assert not await store.replace_with(key, {"n": 3}, seen.etag, {new: {"n": 3}, old: {"n": 3}})
        assert [await value_of(store, each) for each in (key, new, old)] == [{"n": 2}] * 3
        again = await store.read(key)
        assert again is not None
        assert await store.replace_with(key, {"n": 4}, again.etag, {})
        assert not await store.replace_with(fresh(), {"n": 5}, again.etag, {new: {"n": 5}})
        assert await value_of(store, new) == {"n": 2}

    async def test_many_are_read_at_once_with_marks_that_hold(self, store: DocumentStore) -> None:
        keys = [fresh() for _ in range(120)]
        await asyncio.gather(*(store.create(key, {"key": key}) for key in keys))
        found = await store.read_many([*keys, fresh()])
        assert {key: document.value for key, document in found.items()} == {key: {"key": key} for key in keys}
        assert await store.replace(keys[0], {"n": 2}, found[keys[0]].etag)

    async def test_no_change_of_a_run_is_lost_however_many_change_it_at_once(
        self, store: DocumentStore, run: Run
    ) -> None:
        def more(run: Run) -> Run:
            return run.model_copy(update={"waiting_for": str(int(run.waiting_for or 0) + 1)})

        await RunRepository(store, ChangeNotifier()).create(run)
        await asyncio.gather(*(RunRepository(store, ChangeNotifier()).update(run.request_id, more) for _ in range(8)))
        stored = await RunRepository(store, ChangeNotifier()).read(run.request_id)
        assert stored is not None
        assert (stored.waiting_for, stored.version) == ("8", 9)

    async def test_no_entry_of_the_index_is_lost_however_many_enter_at_once(
        self, store: DocumentStore, run: Run
    ) -> None:
        ids = {fresh() for _ in range(8)}
        runs = [run.model_copy(update={"request_id": one}) for one in ids]
        await asyncio.gather(*(RunRepository(store, ChangeNotifier()).index_add(one) for one in runs))
        assert ids <= {entry.request_id for entry in (await RunRepository(store, ChangeNotifier()).index()).open}

    @pytest.mark.parametrize("value", [[1], "text", 7, True, {"a": {}}], ids=str)
    async def test_what_is_no_document_of_ours_is_read_as_what_it_is_and_so_are_others_beside_it(
        self, store: DocumentStore, value: Any
    ) -> None:
        odd, even = fresh(), fresh()
        assert await store.create(odd, value)
        assert await store.create(even, {"n": 1})
        assert await value_of(store, odd) == value
        found = await store.read_many([odd, even])
        assert (found[odd].value, found[even].value) == (value, {"n": 1})
        assert await store.replace(odd, {"n": 2}, found[odd].etag)

    async def test_an_index_of_the_first_release_is_taken_over_once_and_its_key_is_free_for_a_run(
        self, store: DocumentStore, run: Run
    ) -> None:
        apart = Apart(store, fresh())
        for number in range(3):
            await FirstRelease(apart).enter(f"old-{number}", run.accepted_at)
        called_index = run.model_copy(update={"request_id": "index"})
        runs = [RunRepository(apart, ChangeNotifier()) for _ in range(4)]
        assert await runs[0].read("index") is None
        await asyncio.gather(*(one.tidy() for one in runs))
        created = await asyncio.gather(*(one.create(called_index) for one in runs))
        assert [is_new for _, is_new in created].count(True) == 1
        assert await runs[0].read("index") == called_index
        assert (await runs[0].index()).recent == ["index", "old-2", "old-1", "old-0"]

    async def test_no_run_is_lost_while_coordinators_of_the_first_release_and_of_today_run_beside_each_other(
        self, store: DocumentStore, run: Run
    ) -> None:
        apart = Apart(store, fresh())

        async def old(name: str) -> None:
            for number in range(4):
                await FirstRelease(apart).enter(f"{name}-{number}", run.accepted_at)

        async def new(name: str) -> None:
            runs = RunRepository(apart, ChangeNotifier())
            for number in range(4):
                await runs.tidy()
                await runs.index_add(run.model_copy(update={"request_id": f"{name}-{number}"}))

        await asyncio.gather(old("a"), old("b"), new("c"), new("d"))
        await RunRepository(apart, ChangeNotifier()).tidy()
        index = await RunRepository(apart, ChangeNotifier()).index()
        entered = {f"{name}-{number}" for name in "abcd" for number in range(4)}
        assert set(index.recent) == {entry.request_id for entry in index.open} == entered


class Apart:
    """A part of a store, in which nothing was ever written."""

    def __init__(self, store: DocumentStore, prefix: str) -> None:
        self._store, self._prefix = store, prefix

    async def read(self, key: str) -> VersionedDocument | None:
        return await self._store.read(self._prefix + key)

    async def read_many(self, keys: Sequence[str]) -> dict[str, VersionedDocument]:
        found = await self._store.read_many([self._prefix + key for key in keys])
        return {key: found[self._prefix + key] for key in keys if self._prefix + key in found}

    async def create(self, key: str, value: Mapping[str, Any]) -> bool:
        return await self._store.create(self._prefix + key, value)

    async def replace(self, key: str, value: Mapping[str, Any], etag: str) -> bool:
        return await self._store.replace(self._prefix + key, value, etag)


def fresh() -> str:
    return f"key-{uuid4()}"


async def value_of(store: DocumentStore, key: str) -> dict[str, Any]:
    document = await store.read(key)
    assert document is not None
    return document.value
