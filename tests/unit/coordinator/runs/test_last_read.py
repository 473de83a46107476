"""A change of a run that was read a moment ago is written without reading again, and never decided on an older one."""

from __future__ import annotations

from coordinator.domain.request import read_request
from coordinator.domain.run import Run
from coordinator.runs.change_notifier import ChangeNotifier
from coordinator.runs.last_read import MOST_RUNS, LastRead
from coordinator.runs.repository import RunRepository
from tests.unit.coordinator.fakes import START, MemoryDocuments


class CountedDocuments(MemoryDocuments):
    reads = 0

    async def read(self, key: str):  # type: ignore[no-untyped-def]
        self.reads += 1
        return await super().read(key)


def a_run(request_id: str = "r-1") -> Run:
    return Run.accept(read_request({"services": "all"}, default_request_id=request_id), START)


async def stored(documents: MemoryDocuments) -> RunRepository:
    runs = RunRepository(documents, ChangeNotifier())
    await runs.create(a_run())
    return runs


def waiting(run: Run) -> Run:
    return run.with_waiting_reason("the fleet")


async def test_what_was_read_is_changed_without_reading_again() -> None:
    documents = CountedDocuments()
    runs = await stored(documents)
    await runs.read("r-1")
    before = documents.reads
    assert (await runs.update("r-1", waiting)).version == 2
    assert documents.reads == before
    assert (await runs.update("r-1", lambda run: run.with_waiting_reason("more"))).version == 3
    assert documents.reads == before + 1


async def test_what_another_process_has_changed_since_is_read_again() -> None:
    documents = CountedDocuments()
    runs = await stored(documents)
    await runs.read("r-1")
    await RunRepository(documents, ChangeNotifier()).update("r-1", lambda run: run.with_waiting_reason("another"))
    seen: list[str | None] = []

    def change(run: Run) -> Run:
        seen.append(run.waiting_for)
        return waiting(run)

    assert (await runs.update("r-1", change)).version == 3
    assert seen == [None, "another"]


async def test_that_there_is_nothing_to_write_is_decided_on_the_newest_record() -> None:
    documents = CountedDocuments()
    runs = await stored(documents)
    await runs.read("r-1")
    await RunRepository(documents, ChangeNotifier()).update("r-1", waiting)
    run = await runs.update("r-1", lambda run: run.with_waiting_reason(None))
    assert (run.waiting_for, run.version) == (None, 3)
    run = await runs.update("r-1", lambda run: run)
    assert run.version == 3


def test_few_runs_are_remembered_and_each_once() -> None:
    last = LastRead()
    for number in range(MOST_RUNS + 1):
        last.remember(a_run(f"r-{number}"), "1")
    assert last.take("r-0") is None
    assert last.take("r-1") is not None
    assert last.take("r-1") is None
