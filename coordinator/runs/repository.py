"""The run records in Dapr state: read, decide, write, and on a conflict read and decide again."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from coordinator.audit.delivery_marks import DeliveryMarks
from coordinator.documents.damaged import DamagedDocuments
from coordinator.documents.keys import FORMER_INDEX, key_of_run
from coordinator.domain.run import Change, Run
from coordinator.domain.run_index import Index, OpenRun, read_former_index
from coordinator.errors import CoordinatorError, NoSuchRun
from coordinator.ports import DocumentStore, Provenance, VersionedDocument
from coordinator.runs.change_notifier import ChangeNotifier
from coordinator.runs.index_repository import RunIndex, backoff
from coordinator.runs.last_read import LastRead, VersionedRun
from coordinator.runs.record_cache import RecordCache
from coordinator.unavailable import DamagedRun, StateContended, StateUnavailable, UnprovenRun

ATTEMPTS = 40
# Run recovery takes an index entry without a record for abandoned only long after this.
CREATION_LIMIT_SECONDS = 30.0
# A coordinator of version 0.1 takes any object under this key for an index without entries, and would write over
# the run of that name. A text instead of a list makes it fail, until it is replaced.
NO_INDEX = {"recent": "this is a run; the index is elsewhere"}


class Records(NamedTuple):
    """Runs that could be read, and the ids of those that could not."""

    runs: list[Run]
    damaged: list[str]  # ids whose records cannot be read
    signed_before: list[str]  # ids whose records bear the signature of an earlier key


class RunRepository:
    """Reads and writes run records and the index. It owns the marks of deliveries, which each change writes."""

    def __init__(
        self,
        documents: DocumentStore,
        change_notifier: ChangeNotifier,
        damaged_documents: DamagedDocuments | None = None,
    ) -> None:
        self._documents, self._change_notifier = documents, change_notifier
        self.damaged_documents = damaged_documents or DamagedDocuments(documents)
        self.deliveries = DeliveryMarks(change_notifier.notify)
        self._last_read, self._cache = LastRead(), RecordCache()
        self._index = RunIndex(documents, self.damaged_documents)

    async def read(self, request_id: str) -> Run | None:
        """The run, or None where there is none; raises DamagedRun (CM-815) and StateUnavailable.

        With what was delivered since it was written.
        """
        document = await self._documents.read(key_of_run(request_id))
        run = self._read(request_id, document)
        if document is None or run is None:
            return None
        self._last_read.remember(run, document.etag)
        await self._index.reenter_missing(request_id, run.accepted_at, is_open=not run.settled)
        return self.deliveries.apply(run)

    async def read_many(self, request_ids: Sequence[str]) -> Records:
        """In the given order; ids without a record are left out."""
        documents = await self._documents.read_many([key_of_run(request_id) for request_id in request_ids])
        records = Records([], [], [])
        for request_id in request_ids:
            document = documents.get(key_of_run(request_id))
            try:
                run = self._read(request_id, document)
            except DamagedRun:
                records.damaged.append(request_id)
                continue
            records.runs.extend([run] if run else [])
            if document is not None and document.provenance is Provenance.SIGNED_BEFORE:
                records.signed_before.append(request_id)
        return records

    async def sign_again(self, request_id: str) -> None:
        """Writes a record with the present key, so that the earlier one can be retired while the run goes on.

        A record that changes meanwhile is signed by whoever changes it. Raises StateUnavailable.
        """
        document = await self._documents.read(key_of_run(request_id))
        if document is not None and document.provenance is Provenance.SIGNED_BEFORE:
            await self._documents.replace(key_of_run(request_id), document.value, document.etag)

    async def create(self, run: Run) -> tuple[Run, bool]:
        """Enters a new run into the index and stores its record; answers the stored run and whether it is this one.

        The first writer of a request id wins for ever. Raises StateUnavailable, StateContended and DocumentTooLarge.
        """
        began = time.monotonic()
        # The index first: a record without an index entry would never be read again.
        await self.index_add(run)
        if time.monotonic() - began > CREATION_LIMIT_SECONDS:
            raise StateUnavailable("storing the request took too long, so nothing was begun")
        if await self._write_first(run):
            self._change_notifier.notify(run.request_id)
            return run, True
        stored = await self.read(run.request_id)
        if stored is None:
            raise StateContended(key_of_run(run.request_id))
        return stored, False

    async def update(self, request_id: str, change: Change) -> Run:
        """Applies a change to the newest record, and marks what was delivered since the last one.

        `change` may be called several times and must have no effect but its result. Raises NoSuchRun, DamagedRun,
        StateUnavailable, DocumentTooLarge, and StateContended after 40 lost races.
        """
        for attempt in range(ATTEMPTS):
            last = None if attempt else self._last_read.take(request_id)
            run, etag = last or await self._read_to_change(request_id)
            # After the change, which may compare the record as it is stored: a claim of run recovery does.
            changed = self.deliveries.apply(change(run))
            if changed == run and last is not None:
                continue  # no write shows whether that is the newest record
            if changed != run:
                changed = changed.model_copy(update={"version": run.version + 1})
                value = self._stored(changed)
                if not await self._documents.replace(key_of_run(request_id), value, etag):
                    if last is None:
                        await backoff(attempt)
                    continue
                self._cache.remember(key_of_run(request_id), value, changed)
                self._last_read.take(request_id)  # somebody may have read it meanwhile
                self._change_notifier.notify(request_id, changed)
            if changed.settled:
                self.deliveries.forget(request_id)
            return changed
        raise StateContended(key_of_run(request_id))

    async def _read_to_change(self, request_id: str) -> VersionedRun:
        document = await self._documents.read(key_of_run(request_id))
        run = self._read(request_id, document)
        if document is None or run is None:
            raise NoSuchRun(request_id)
        return VersionedRun(run, document.etag)

    async def write_deliveries(self, request_id: str) -> Run:
        """Marks in the record what was delivered since the last change, and that the run waits for nothing.

        Writes nothing where that is nothing new.
        """
        return await self.update(request_id, lambda run: run.with_waiting_reason(None))

    async def index(self) -> Index:
        """The index as it is now."""
        return await self._index.read()

    async def tidy(self) -> None:
        """Repairs the index; called by run recovery."""
        await self._index.tidy()

    async def index_add(self, run: Run, *, last: bool = False) -> None:
        """Enters a run into the index as open. With `last` it gives up the place that it may have in the queue."""
        entry = OpenRun.of(run.request_id, run.accepted_at, run.request, run.round)
        await self._index.change(lambda index: index.with_open_run(entry, last=last))

    async def index_remove(self, done: Mapping[str, int], unknown: Collection[str] = ()) -> None:
        """Takes settled runs, with their rounds, off the open list, and ids without a record off both lists."""
        if done or unknown:
            await self._index.change(lambda index: index.without(done, unknown))

    async def _write_first(self, run: Run) -> bool:
        key = key_of_run(run.request_id)
        if await self._documents.create(key, self._stored(run)):
            return True
        if key != FORMER_INDEX:
            return False
        former = await self._documents.read(key)
        return former is not None and await self._index.make_room(former, self._stored(run))

    def _stored(self, run: Run) -> dict[str, Any]:
        key = key_of_run(run.request_id)
        value = self._cache.value_of(key, run)
        return {**value, **NO_INDEX} if key == FORMER_INDEX else value

    def _read(self, request_id: str, document: VersionedDocument | None) -> Run | None:
        key = key_of_run(request_id)
        if document is None or (key == FORMER_INDEX and read_former_index(document.value) is not None):
            return None
        if (known := self._cache.find(key, document)) is not None:
            is_signed = _is_signed(document.provenance)
            return known if known.is_signed is is_signed else known.model_copy(update={"is_signed": is_signed})
        try:
            run = Run.model_validate(_record(key, document.value))
            if run.request_id != request_id:
                raise DamagedRun(request_id, key)
            # A record that can be read but not written would fail wherever the run is shown or changed.
            run.model_dump_json()
            run = run.model_copy(update={"is_signed": _is_signed(document.provenance)})
            _require_ours(run, document.provenance)
        except UnprovenRun:
            self.damaged_documents.record_met(key)
            raise
        except (ValidationError, CoordinatorError, PydanticSerializationError, RecursionError):
            self.damaged_documents.record_met(key)
            raise DamagedRun(request_id, key) from None
        self.damaged_documents.record_repair(key)
        self._cache.remember(key, document.value, run)
        return run


def _is_signed(provenance: Provenance) -> bool | None:
    return None if provenance is Provenance.UNCHECKED else provenance.is_ours


def _require_ours(run: Run, provenance: Provenance) -> None:
    """Raises UnprovenRun. What has ended is only shown; of what goes on, nothing is done that we have not written."""
    if provenance is Provenance.FORGED or not (run.settled or provenance.is_ours):
        raise UnprovenRun(run.request_id, key_of_run(run.request_id))


def _record(key: str, value: Any) -> Any:
    """Without what `_stored` adds: a run keeps fields that it does not know, and would show it."""
    if key != FORMER_INDEX or not isinstance(value, dict):
        return value
    return {name: each for name, each in value.items() if name not in NO_INDEX}
