"""Accepts operations, keeps them through a restart of the service, and answers for them."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from migration_sidecar import store
from migration_sidecar.attempts import Attempts
from migration_sidecar.database import Database
from migration_sidecar.errors import OtherBody, PlanChanged, UnknownOperation, UnknownTarget
from migration_sidecar.messages import Operation, OperationRequest, OperationState
from migration_sidecar.patience import patient
from migration_sidecar.reading import Reader
from migration_sidecar.settings import Settings

if TYPE_CHECKING:
    from migration_sidecar.store import AnyConnection

log = logging.getLogger(__name__)

WATCH_SECONDS = 0.5  # how often an operation that another replica drives is looked at


def body_digest(request: OperationRequest) -> str:
    """The same for the same body, however it was spelt."""
    return sha256(json.dumps(request.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


class Operations:
    """One service's operations, carried out one at a time in the order they were accepted."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        reader: Reader,
        attempts: Attempts,
        changed: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._database = database
        self._reader = reader
        self._attempts = attempts
        self._changed = changed  # told whenever the journal may have new rows
        self._live: dict[str, Operation] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._turn = asyncio.Lock()

    async def accept(self, request: OperationRequest, *, way_in: str = "endpoint") -> Operation:
        """Stores the operation, then starts it; the same id and body again gives the same operation."""
        if request.target == "base" and way_in == "endpoint":
            raise UnknownTarget(request.target)  # taking everything down is for a person at the database
        digest = body_digest(request)
        async with self._database.connection() as connection:
            await store.prepare(connection)
            known = await store.find_operation(connection, request.operation_id)
            if known is not None:
                return self._again(request, digest, *known, way_in)
            record = await self._first_record(connection, request)
            stored = await store.insert_operation(connection, request, digest, record)
            if stored != digest:
                raise OtherBody(request.operation_id)
        if request.operation_id not in self._tasks:  # the same request may have come in twice at once
            self._begin(request, record, way_in)
        return self._live.get(request.operation_id, record)

    async def find(self, operation_id: str, *, wait_seconds: float = 0) -> Operation:
        """Waits until the operation has ended or the time is over; raises UnknownOperation."""
        task = self._tasks.get(operation_id)
        if task is not None and wait_seconds > 0:
            await asyncio.wait([task], timeout=wait_seconds)
        if (live := self._live.get(operation_id)) is not None:
            return live
        async with self._database.connection() as connection:
            known = await store.find_operation(connection, operation_id)
        if known is None:
            raise UnknownOperation(operation_id)
        return known[1]

    async def cancel(self, operation_id: str) -> Operation:
        """Ends the attempt under way; an operation that has ended stays as it is."""
        record = await self.find(operation_id)
        if not record.state.ended:
            self._attempts.cancel(operation_id)
            return await self.find(operation_id, wait_seconds=10)
        return record

    async def resume(self) -> None:
        """Takes up what was accepted or running when the service last stopped."""
        async with self._database.connection() as connection:
            unfinished = await store.open_operations(connection)
        for request, record in unfinished:
            if request.operation_id not in self._tasks:
                self._begin(request, record, "endpoint")

    async def stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        with suppress(Exception):
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _again(self, request: OperationRequest, digest: str, stored: str, record: Operation, way_in: str) -> Operation:
        if stored != digest:
            raise OtherBody(request.operation_id)
        if not record.state.ended and request.operation_id not in self._tasks:
            self._begin(request, record, way_in)  # its replica may have died; the claim sees to it that one drives
        return self._live.get(request.operation_id, record)

    async def _first_record(self, connection: AnyConnection, request: OperationRequest) -> Operation:
        """Raises PlanChanged when the caller agreed to something else than what would happen now."""
        plan = await self._reader.plan_on(connection, request.action, request.target)
        expected = request.expected_revisions
        if expected is not None and sorted(expected) != sorted(plan.from_revisions):
            at = ", ".join(plan.from_revisions) or "no revision"
            raise PlanChanged(f"The database is at {at}, not at {', '.join(expected) or 'no revision'}.")
        if request.plan_digest is not None and request.plan_digest != plan.digest:
            raise PlanChanged("The revision files or the database are not what the plan was made of.")
        return Operation(
            operation_id=request.operation_id,
            service=self._settings.service,
            database=self._settings.database,
            action=request.action,
            target=request.target,
            state=OperationState.ACCEPTED,
            from_revisions=plan.from_revisions,
            current_revisions=plan.from_revisions,
            accepted_at=datetime.now(UTC),
        )

    def _begin(self, request: OperationRequest, record: Operation, way_in: str) -> None:
        self._live[request.operation_id] = record
        task = asyncio.create_task(self._carry_out(request, record, way_in))
        self._tasks[request.operation_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(request.operation_id, None))

    async def _carry_out(self, request: OperationRequest, record: Operation, way_in: str) -> None:
        try:
            async with self._turn:
                await self._drive(request, record, way_in)
        except Exception:
            log.exception("operation_stays_open", extra={"operation": request.operation_id})
        self._changed()
        # From now on the database answers; memory does not grow with the number of operations.
        self._live.pop(request.operation_id, None)

    @patient
    async def _drive(self, request: OperationRequest, record: Operation, way_in: str) -> None:
        """Several replicas may know an operation: the one whose session claims it drives, the others watch."""
        while True:
            async with self._database.connection() as connection:
                claimed = await store.claim(connection, request.operation_id)
                stored = await store.find_operation(connection, request.operation_id)
                if stored is not None and stored[1].state.ended:
                    return
                if claimed:
                    ended = await self._attempts.carry_out(request, record, way_in, self._note)
                    await self._keep(ended)
                    log.info("operation_ended", extra=_facts(ended, way_in))
                    return
            await asyncio.sleep(WATCH_SECONDS)

    def _note(self, record: Operation) -> None:
        self._live[record.operation_id] = record

    @patient
    async def _keep(self, record: Operation) -> None:
        """The end must be stored before anybody hears of it."""
        async with self._database.connection() as connection:
            await store.update_operation(connection, record)


def _facts(ended: Operation, way_in: str) -> dict[str, Any]:
    return {
        "service": ended.service,
        "operation": ended.operation_id,
        "way_in": way_in,
        "state": ended.state.value,
        "applied": [each.revision for each in ended.applied],
        "at": ended.current_revisions,
        **({"error": ended.error.detail} if ended.error else {}),
    }
