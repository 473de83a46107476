"""Accepts operations, keeps them through a restart of the service, and answers for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from migration_sidecar.alembic_environment.agreed_revisions import require_agreed
from migration_sidecar.alembic_environment.load_deadline import as_long_as_it_takes
from migration_sidecar.alembic_environment.target_database import Place
from migration_sidecar.config.downgrade_permission import objection
from migration_sidecar.config.settings import Settings
from migration_sidecar.contract.errors import BadRequest, OtherBody, UnknownOperation, UnknownTarget
from migration_sidecar.contract.messages import Operation, OperationRequest, OperationState, Problem
from migration_sidecar.database.pool import Database, Kept
from migration_sidecar.database.replica_locks import claim, claim_start
from migration_sidecar.engine.operations.execution import Course
from migration_sidecar.engine.operations.executor import Attempts
from migration_sidecar.engine.operations.in_flight import Underway, facts_to_log, first_record, found_by
from migration_sidecar.engine.operations.operation_watch import ask_to_cancel, standing
from migration_sidecar.engine.operations.persistence import carry_through
from migration_sidecar.engine.operations.retry import patient
from migration_sidecar.engine.planning.missing_grant import naming_the_grant
from migration_sidecar.engine.planning.reader import Reader
from migration_sidecar.protocol.origin import Origin, way_in_of

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection, Records

log = logging.getLogger(__name__)

WATCH_SECONDS = 0.5  # how often an operation that another replica drives is looked at
LONG_SECONDS = 60.0
CANCEL_SECONDS = 10.0  # whoever cancels waits that long for the end


class Operations:
    """One service's operations, carried out one at a time in the order they were accepted."""

    def __init__(
        self,
        settings: Settings,
        place: Place,
        database: Database,
        reader: Reader,
        attempts: Attempts,
        changed: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._place = place
        self._database = database
        self._reader = reader
        self._attempts = attempts
        self._changed = changed  # told whenever the journal may have new rows
        self._underway: dict[str, Underway] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._cancelling: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    async def accept(self, request: OperationRequest, *, way_in: Origin = Origin.ENDPOINT) -> Operation:
        """Stores the operation, then starts it; the same id and body again gives the same operation."""
        if request.only_by_hand and way_in == Origin.ENDPOINT:
            raise UnknownTarget(request.target)  # taking everything down is for a person at the database
        if way_in == Origin.ENDPOINT and way_in_of(request.operation_id) != Origin.ENDPOINT:
            raise BadRequest("operation_id: it begins like one that the service or a person gives; take another.")
        no = objection(self._settings, request.action, request.target) if way_in == Origin.ENDPOINT else None
        async with self._connected() as (connection, records):
            if no is None:  # what is refused makes no tables
                await records.prepare(connection)
            if (known := await records.find_operation(connection, request.operation_id)) is not None:
                return self._again(request, *known, way_in)
            if no is not None:
                raise no
            underway = await self._store(connection, records, request)
        return self._begun(request, underway, way_in)

    async def accept_alone(self, request: OperationRequest, *, way_in: Origin) -> Operation | None:
        """The same, unless another operation is unfinished or nothing is to be done; replicas ask one by one."""
        async with self._connected() as (connection, records):
            await records.prepare(connection)
            if not await claim_start(connection, records.history) or await records.open_operations(connection):
                return None
            plan = await self._reader.plan_on(connection, request.action, request.target, with_waiting=False)
            if not plan.revisions and not plan.obstacles:
                return None
            underway = await self._store(connection, records, request)
        return self._begun(request, underway, way_in)

    async def find(self, operation_id: str, *, wait_seconds: float = 0) -> Operation:
        """Waits until the operation has ended or the time is over; raises UnknownOperation."""
        task, underway = self._tasks.get(operation_id), self._underway.get(operation_id)
        if task is not None and wait_seconds > 0:
            await asyncio.wait([task], timeout=wait_seconds)
        if underway is not None and (operation_id in self._underway or underway.record.state.ended):
            return underway.record  # an end is stored before it stands there
        records = await self._place.records()
        async with self._database.connection() as connection:
            known = await records.find_operation(connection, operation_id)
        if known is None:
            raise UnknownOperation(operation_id)
        return known[1]

    async def cancel(self, operation_id: str) -> Operation:
        """Whichever replica drives it, and also before its turn; what has ended stays as it is."""
        if (underway := self._underway.get(operation_id)) is not None:
            underway.cancelled.set()  # a database that is away must not keep the process alive
        records = await self._place.records()
        async with self._database.connection() as connection:
            asked = await ask_to_cancel(connection, records, operation_id)
        if asked is None:
            raise UnknownOperation(operation_id)
        request, record = asked
        if record.state.ended:
            return record
        underway = self._underway.get(operation_id) or Underway(record)
        underway.cancelled.set()
        ending = asyncio.create_task(self._carry_out(request, underway, way_in_of(operation_id), nullcontext()))
        self._cancelling.add(ending)
        ending.add_done_callback(self._cancelling.discard)
        await asyncio.wait(
            [ending, *self._driving(operation_id)], timeout=CANCEL_SECONDS, return_when="FIRST_COMPLETED"
        )
        return underway.record

    async def ended(self, operation_id: str) -> Operation:
        """Waits for the end of one that is carried out or watched here."""
        while not (record := await self.find(operation_id, wait_seconds=LONG_SECONDS)).state.ended:
            await asyncio.sleep(WATCH_SECONDS)
        return record

    async def resume(self) -> list[str]:
        """Takes up what was accepted or running when the service last stopped; gives all that is unfinished."""
        records = await self._place.records()
        async with self._database.connection() as connection:
            unfinished = await records.open_operations(connection)
        for request, record in unfinished:
            if request.operation_id not in self._tasks:
                self._begin(request, Underway(record), way_in_of(request.operation_id))
        return [request.operation_id for request, _ in unfinished]

    async def stop(self) -> None:
        tasks = [*self._tasks.values(), *self._cancelling]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple[AnyConnection, Records]]:
        records = await self._place.records()
        async with self._database.connection() as connection, naming_the_grant(connection, records):
            yield connection, records

    async def _store(self, connection: AnyConnection, records: Records, request: OperationRequest) -> Underway:
        plan, agreed = await self._reader.agreed_plan_on(connection, request.action, request.target)
        require_agreed(request, plan)
        record, digest = first_record(request, plan), request.digest
        if await records.insert_operation(connection, request, digest, record, agreed) != digest:
            raise OtherBody(request.operation_id)
        return Underway(record, accepted=found_by(plan))

    def _begun(self, request: OperationRequest, underway: Underway, way_in: Origin) -> Operation:
        if request.operation_id not in self._tasks:  # the same request may have come in twice at once
            self._begin(request, underway, way_in)
        return self._latest(underway.record)

    def _again(self, request: OperationRequest, stored: str, record: Operation, way_in: Origin) -> Operation:
        if stored != request.digest:
            raise OtherBody(request.operation_id)
        if not record.state.ended and request.operation_id not in self._tasks:
            # Its replica may have died; the claim sees to it that one drives.
            self._begin(request, Underway(record), way_in)
        return self._latest(record)

    def _latest(self, record: Operation) -> Operation:
        underway = self._underway.get(record.operation_id)
        return underway.record if underway else record

    def _driving(self, operation_id: str) -> list[asyncio.Task[None]]:
        return [task] if (task := self._tasks.get(operation_id)) is not None else []

    def _begin(self, request: OperationRequest, underway: Underway, way_in: Origin) -> None:
        self._underway[request.operation_id] = underway
        task = asyncio.create_task(self._carry_out(request, underway, way_in, self._turn))
        self._tasks[request.operation_id] = task
        task.add_done_callback(lambda _: self._forget(request.operation_id))

    def _forget(self, operation_id: str) -> None:
        """From now on the database answers; memory does not grow with the number of operations."""
        self._tasks.pop(operation_id, None)
        self._underway.pop(operation_id, None)

    async def _carry_out(
        self, request: OperationRequest, underway: Underway, way_in: Origin, turn: AbstractAsyncContextManager[None]
    ) -> None:
        as_long_as_it_takes()  # not only as long as the request that began it
        async with turn:
            drive, give_up = partial(self._drive, request, underway, way_in), partial(self._give_up, underway)
            await carry_through(request.operation_id, drive, give_up)
        self._changed()

    async def _give_up(self, underway: Underway, problem: Problem) -> None:
        facts = {"state": OperationState.NEEDS_ATTENTION, "finished_at": datetime.now(UTC), "waiting_for": None}
        ended = underway.record.model_copy(update={**facts, "error": problem})
        await self._keep(ended)
        underway.note(ended)

    @patient
    async def _drive(self, request: OperationRequest, underway: Underway, way_in: Origin) -> None:
        """Several replicas may know an operation: the one whose session claims it drives, the others watch."""
        records = await self._place.records()
        while True:
            async with self._database.connection() as connection:
                claimed = await claim(connection, request.operation_id)
                stored = await standing(connection, records, request.operation_id)
                if stored is not None:
                    underway.note(stored.record)
                    if stored.record.state.ended:
                        return
                if claimed:
                    if stored is not None and stored.cancelled:
                        underway.cancelled.set()
                    agreed = stored.agreed if stored is not None else None
                    run = Course(request, underway.record, way_in, underway.note, underway.cancelled, agreed)
                    run.kept.session = connection
                    run.just_read = underway.just_read(stored)
                    ended = await self._attempts.carry_out(run)
                    await self._keep(ended, run.kept)
                    underway.note(ended)
                    log.info("operation_ended", extra=facts_to_log(ended, way_in))
                    return
            await asyncio.sleep(WATCH_SECONDS)

    @patient
    async def _keep(self, record: Operation, kept: Kept | None = None) -> None:
        """The end must be stored before anybody hears of it."""
        records = await self._place.records()
        async with self._database.connection(kept) as connection:
            await records.update_operation(connection, record)
