"""What every DocumentStore must do; run against the one in memory and against Dapr's."""

import asyncio
from typing import Any
from uuid import uuid4

from coordinator.domain.run import Run
from coordinator.ports import DocumentStore
from coordinator.runs import Runs
from coordinator.watching import Watchers


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

        await Runs(store, Watchers()).create(run)
        await asyncio.gather(*(Runs(store, Watchers()).change(run.request_id, more) for _ in range(8)))
        stored = await Runs(store, Watchers()).read(run.request_id)
        assert stored is not None
        assert (stored.waiting_for, stored.version) == ("8", 9)

    async def test_no_entry_of_the_index_is_lost_however_many_enter_at_once(
        self, store: DocumentStore, run: Run
    ) -> None:
        ids = {fresh() for _ in range(8)}
        await asyncio.gather(*(Runs(store, Watchers()).enter(one, run.accepted_at) for one in ids))
        assert ids <= {entry.request_id for entry in (await Runs(store, Watchers()).index()).open}


def fresh() -> str:
    return f"key-{uuid4()}"


async def value_of(store: DocumentStore, key: str) -> dict[str, Any]:
    document = await store.read(key)
    assert document is not None
    return document.value
