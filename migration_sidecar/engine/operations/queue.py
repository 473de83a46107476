"""Accepts operations, stores them, executes them in order, and answers for them. Stored ones survive a restart."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from migration_sidecar.alembic_environment.target_database import TargetDatabase
from migration_sidecar.config.downgrade_permission import downgrade_refusal
from migration_sidecar.config.settings import Settings
from migration_sidecar.contract.errors import BadRequest, DatabaseRefused, UnknownOperation, UnknownTarget
from migration_sidecar.contract.messages import Action, Operation, OperationRequest, OperationState, Problem
from migration_sidecar.contract.plan_agreement import require_agreed
from migration_sidecar.database.load_deadline import UNLIMITED, LoadDeadline
from migration_sidecar.database.pool import DatabasePool
from migration_sidecar.engine.operations.execution import OperationExecution
from migration_sidecar.engine.operations.executor import OperationExecutor
from migration_sidecar.engine.operations.monitor import monitored
from migration_sidecar.engine.operations.read_back import read_back_from_plan
from migration_sidecar.engine.operations.retry import retry_unreachable_database, run_until_done
from migration_sidecar.engine.planning import journal_place
from migration_sidecar.engine.planning.missing_grant import explain_missing_grant
from migration_sidecar.engine.planning.reader import StatusReader
from migration_sidecar.protocol.origin import Origin, origin_of

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection, MigrationRecords

log = logging.getLogger(__name__)

WATCH_SECONDS = 0.5  # how often an operation of another replica is read
END_WAIT_SECONDS = 60.0
CANCEL_SECONDS = 10.0  # how long `cancel` waits for the end


class OperationQueue:
    """The operations of one service. They are executed one at a time, in the order in which they were accepted."""

    def __init__(
        self,
        settings: Settings,
        target_database: TargetDatabase,
        database: DatabasePool,
        reader: StatusReader,
        executor: OperationExecutor,
        on_journal_change: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._target_database = target_database
        self._database = database
        self._reader = reader
        self._executor = executor
        self._on_journal_change = on_journal_change  # called when the journal may have new rows
        self._executions: dict[str, OperationExecution] = {}  # by id: operations that have not ended here
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._cancelling: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    async def accept(
        self, request: OperationRequest, *, origin: Origin = Origin.ENDPOINT, loading: LoadDeadline = UNLIMITED
    ) -> Operation:
        """Stores the operation and starts it. A repeated call with the same id and body returns the same record.

        Raises UnknownTarget, BadRequest, DowngradeNotOffered, PlanChanged, and the errors of reading a plan.
        """
        if request.requires_operator and origin == Origin.ENDPOINT:
            raise UnknownTarget(request.target)  # only the command line may downgrade to base
        if origin == Origin.ENDPOINT and origin_of(request.operation_id) != Origin.ENDPOINT:
            raise BadRequest("operation_id: it begins like one that the service or a person gives; take another.")
        no = downgrade_refusal(self._settings, request.action, request.target) if origin == Origin.ENDPOINT else None
        await self._target_database.ask_for(request.action, request.target, loading)
        if self._target_database.is_assumed:
            await self._reader.plan(request.action, request.target, loading)  # a file that is wrong is named first
        await self._target_database.require_named(loading)
        async with self._connected(loading) as (connection, records):
            if no is None:  # a refused request creates no tables
                await journal_place.prepare(connection, records, await self._target_database.resolve(loading))
            if (known := await records.operations.find_repeated(connection, request)) is not None:
                return self._follow(request, known, origin)
            if no is not None:
                raise no
            plan, agreed = await self._reader.agreed_plan_on(
                connection, request.action, request.target, loading, beside_other_tables=request.beside_other_tables
            )
            require_agreed(request, plan)
            record = await records.operations.accept(connection, request, plan, agreed)
        return self._begin(OperationExecution(request, record, origin, read_back_from_plan(plan)))

    async def accept_alone(self, request: OperationRequest, *, origin: Origin) -> Operation | None:
        """As `accept`, for start-up. None if another operation is unfinished, a replica was first, or none is due."""
        await self._target_database.require_named()
        async with self._connected(UNLIMITED) as (connection, records):
            await journal_place.prepare(connection, records, await self._target_database.resolve())
            if not await records.operations.claim_startup(connection):
                return None
            if await records.operations.unfinished(connection):
                return None
            plan, agreed = await self._reader.agreed_plan_on(connection, request.action, request.target)
            if not plan.revisions and not plan.obstacles and await self._reader.env_only_connects():
                return None
            record = await records.operations.accept(connection, request, plan, agreed)
        return self._begin(OperationExecution(request, record, origin, read_back_from_plan(plan)))

    async def find(self, operation_id: str, *, wait_seconds: float = 0, loading: LoadDeadline = UNLIMITED) -> Operation:
        """The operation; waits at most `wait_seconds` for its end. Raises UnknownOperation."""
        task, execution = self._tasks.get(operation_id), self._executions.get(operation_id)
        if task is not None and wait_seconds > 0:
            await asyncio.wait([task], timeout=wait_seconds)
        if execution is not None and (operation_id in self._executions or execution.record.state.ended):
            return execution.record  # an end is stored before the record has it
        records = await self._target_database.records(loading)
        async with self._database.connection(loading=loading) as connection:
            known = await records.operations.find(connection, operation_id)
        if known is None:
            raise UnknownOperation(operation_id)
        return known

    async def cancel(
        self, operation_id: str, loading: LoadDeadline = UNLIMITED, *, cancelled_by: str | None = None
    ) -> Operation:
        """Cancels the operation in any replica, also in the queue; an ended one stays. Raises UnknownOperation."""
        if (execution := self._executions.get(operation_id)) is not None:
            execution.cancel(cancelled_by)  # first, so that it works with an unreachable database
        records = await self._target_database.records(loading)
        async with self._database.connection(loading=loading) as connection:
            asked = await records.operations.request_cancel(connection, operation_id, cancelled_by)
        if asked is None:
            raise UnknownOperation(operation_id)
        request, record = asked
        if record.state.ended:
            return record
        origin = origin_of(operation_id)
        execution = self._executions.get(operation_id) or OperationExecution(request, record, origin)
        execution.cancelled.set()
        ending = asyncio.create_task(self._run(execution, nullcontext()))
        self._cancelling.add(ending)
        ending.add_done_callback(self._cancelling.discard)
        driving = [task] if (task := self._tasks.get(operation_id)) is not None else []
        await asyncio.wait([ending, *driving], timeout=CANCEL_SECONDS, return_when="FIRST_COMPLETED")
        return execution.record

    async def ended(self, operation_id: str) -> Operation:
        """Waits without limit for the end of an operation that is executed or watched here. Raises UnknownOperation."""
        while not (record := await self.find(operation_id, wait_seconds=END_WAIT_SECONDS)).state.ended:
            await asyncio.sleep(WATCH_SECONDS)
        return record

    async def resume(self, target: str) -> list[str]:
        """Called at start-up, which upgrades to `target`: continues the unfinished operations and returns their ids."""
        await self._target_database.ask_for(Action.UPGRADE, target)
        await self._target_database.require_named()
        records = await self._target_database.records()
        async with self._database.connection() as connection:
            if unfinished := await records.operations.unfinished(connection):
                await records.prepare(connection)
        for request, record in unfinished:
            self._follow(request, record, origin_of(request.operation_id))
        return [request.operation_id for request, _ in unfinished]

    async def stop(self) -> None:
        """Cancels all tasks. Unfinished operations stay stored."""
        tasks = [*self._tasks.values(), *self._cancelling]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @asynccontextmanager
    async def _connected(self, loading: LoadDeadline) -> AsyncIterator[tuple[AnyConnection, MigrationRecords]]:
        records = await self._target_database.records(loading)
        async with self._database.connection(loading=loading) as connection, explain_missing_grant(connection, records):
            yield connection, records

    def _follow(self, request: OperationRequest, record: Operation, origin: Origin) -> Operation:
        """Starts or watches a stored operation. Its replica may have died; the claim decides which one executes it."""
        return record if record.state.ended else self._begin(OperationExecution(request, record, origin))

    def _begin(self, execution: OperationExecution) -> Operation:
        """Puts the operation in the queue, unless it is there: the same request may have arrived twice at once."""
        operation_id = execution.request.operation_id
        if operation_id not in self._executions:
            self._executions[operation_id] = execution
            task = asyncio.create_task(self._run(execution, self._turn))
            self._tasks[operation_id] = task
            task.add_done_callback(lambda _: self._forget(operation_id))
        return self._executions[operation_id].record

    def _forget(self, operation_id: str) -> None:
        """Removes it from memory, so that memory does not grow. Later answers come from the database."""
        self._tasks.pop(operation_id, None)
        self._executions.pop(operation_id, None)

    async def _run(self, execution: OperationExecution, turn: AbstractAsyncContextManager[None]) -> None:
        facts = {"operation": execution.request.operation_id}
        async with turn:
            await run_until_done(partial(self._execute, execution), partial(self._give_up, execution), facts)
        self._on_journal_change()

    async def _give_up(self, execution: OperationExecution, problem: Problem) -> None:
        ended = execution.ended(OperationState.NEEDS_ATTENTION, error=problem)
        try:
            await self._end(execution, ended)
        except DatabaseRefused:  # the table is gone, for example: whoever waits here is told all the same
            execution.record = ended

    @retry_unreachable_database
    async def _execute(self, execution: OperationExecution) -> None:
        """Several replicas may know an operation. The one whose session claims it executes it, the others watch."""
        records, operation_id = await self._target_database.records(), execution.request.operation_id
        while True:
            async with self._database.connection() as connection:
                claimed = await records.operations.claim(connection, operation_id)
                stored = await records.operations.read(connection, operation_id)
                if stored is not None and not execution.is_executing:
                    execution.record = stored.record
                if stored is not None and stored.record.state.ended:
                    return
                if claimed:
                    with execution.executing(stored, connection):
                        async with monitored(execution, self._target_database, self._database):
                            ended = await self._executor.execute(execution)
                        await self._end(execution, ended)
                    log.info("operation_ended", extra=_facts_to_log(ended, execution.origin))
                    return
            await asyncio.sleep(WATCH_SECONDS)

    @retry_unreachable_database
    async def _end(self, execution: OperationExecution, ended: Operation) -> None:
        """The end must be stored before anybody hears of it."""
        records = await self._target_database.records()
        async with self._database.connection(execution.claim_connection) as connection:
            await records.operations.save(connection, ended)
        execution.record = ended


def _facts_to_log(ended: Operation, origin: str) -> dict[str, Any]:
    return {
        "service": ended.service,
        "operation": ended.operation_id,
        "way_in": origin,
        "state": ended.state.value,
        "applied": [each.revision for each in ended.applied],
        "at": ended.current_revisions,
        **({"error": ended.error.detail} if ended.error else {}),
    }
