"""Executes one operation: runs an attempt, reads the database, decides, and retries if the attempt had no effect."""

from __future__ import annotations

from dataclasses import replace
from random import uniform
from time import monotonic
from typing import overload

from migration_sidecar.alembic_environment.revision_files import RevisionFiles
from migration_sidecar.alembic_environment.target_database import TargetDatabase
from migration_sidecar.config.downgrade_permission import downgrade_refusal
from migration_sidecar.config.settings import Settings
from migration_sidecar.contract.errors import DatabaseUnreachable, ProblemError
from migration_sidecar.contract.messages import Operation, OperationState, Problem
from migration_sidecar.database.load_deadline import UNLIMITED, LoadDeadline
from migration_sidecar.database.pool import DatabasePool
from migration_sidecar.engine.operations.execution import (
    CANCELLED,
    OperationExecution,
    deadline_passed,
    specific_problem,
)
from migration_sidecar.engine.operations.read_back import ReadBackReader
from migration_sidecar.engine.operations.retry import retry_unreachable_database
from migration_sidecar.engine.operations.session_end import UnclearEnd
from migration_sidecar.engine.operations.verdict import TOO_MANY_CONNECTIONS, Decision, ReadBack, WorkerExit, decide
from migration_sidecar.engine.operations.worker_run import WorkerRunner
from migration_sidecar.protocol.origin import Origin

LONGEST_PAUSE_SECONDS = 15.0
CONNECTION_LIMIT_PAUSE_SECONDS = 1.0  # the shortest pause if the server has no free connection
MAX_LOST_ATTEMPTS = 5  # then a person must find out why the connection is lost
# Our refusals: the revision itself did not fail.
NOT_STARTED_CODES = {"CM-306", "CM-404", "CM-406", "CM-521", "CM-541", "CM-702"}


class OperationExecutor:
    """Called by the queue for each operation that this process has claimed, one at a time."""

    def __init__(
        self,
        settings: Settings,
        target_database: TargetDatabase,
        database: DatabasePool,
        revision_files: RevisionFiles,
        worker_runner: WorkerRunner,
        read_back_reader: ReadBackReader,
    ) -> None:
        self._settings = settings
        self._target_database = target_database
        self._database = database
        self._revision_files = revision_files
        self._worker_runner = worker_runner
        self._read_back_reader = read_back_reader

    async def execute(self, execution: OperationExecution) -> Operation:
        """Returns the ended operation. A problem becomes its end, but one that passes does not end an attempt.

        Raises DatabaseUnreachable for such a problem: the caller waits, and what the attempt did is read later.
        """
        try:
            return await self._run_attempts(execution)
        except DatabaseUnreachable as error:
            if execution.number and error.problem.retryable:
                raise
            return execution.ended(_end_of(begun=bool(execution.number)), error=self._with_service(error.problem))
        except ProblemError as error:
            return execution.ended(_end_of(begun=execution.is_unread), error=self._with_service(error.problem))

    async def _run_attempts(self, execution: OperationExecution) -> Operation:
        # Limits only the first read: after an attempt the result is waited for.
        loading = UNLIMITED if execution.is_unread else LoadDeadline.after(execution.request.deadline_seconds)
        read_back = execution.planned or await self._read_back_reader.read(execution, loading=loading)
        execution.number = max(execution.number, read_back.last_attempt)
        if read_back.unclosed_attempt:
            # The process that ran this attempt died; the database says how it ended.
            read_back = await self._read_back_reader.read(execution, unclear=UnclearEnd(execution.number))
            verdict, problem = decide(WorkerExit(lost=True), read_back, self._settings.service)
            if verdict is Decision.ATTENTION:
                return await self._needs_attention(execution, self._with_service(problem), read_back)
            await self._close_attempt(execution, "resolved", None)
        execution.is_unread = False
        # Like `alembic upgrade head` at head: env.py may grant rights, or refresh views, on every run.
        only_connects = (await self._target_database.resolve(loading)).only_connects
        while True:
            if execution.cancelled.is_set() and (read_back.left or read_back.obstacles):
                return self._ended(execution, OperationState.CANCELLED, read_back, CANCELLED)
            if (problem := await self._obstacle(execution, read_back)) is not None:
                return self._ended(execution, OperationState.FAILED, read_back, problem)
            if not read_back.left and only_connects:
                return execution.ended(OperationState.SUCCEEDED, read_back)
            worker_run = await self._worker_runner.run(execution, execution.next_attempt())
            self._target_database.learn(worker_run.version_tables)
            execution.is_unread = True
            read_back = await self._read_back_reader.read(execution, unclear=worker_run.unclear_end)
            execution.is_unread = False
            verdict, problem = decide(worker_run.ending, read_back, self._settings.service, only_connects=only_connects)
            if verdict is Decision.FAILED and worker_run.unconnected:
                verdict, problem = await self._explain_no_session(execution, problem)
            if verdict is Decision.SUCCEEDED:
                return execution.ended(OperationState.SUCCEEDED, read_back)
            ended = await self._decide(execution, verdict, self._with_service(problem), read_back)
            if ended is not None:
                return ended
            await self._pause(execution)

    async def _obstacle(self, execution: OperationExecution, read_back: ReadBack) -> Problem | None:
        """The problem that prevents another attempt; None if there is none, or if no revision is left."""
        if read_back.obstacles or not read_back.left:
            return read_back.obstacles[0] if read_back.obstacles else None
        # Checked again: an older release or other settings may have accepted it.
        no = downgrade_refusal(self._settings, execution.request.action, execution.request.target)
        if no is not None and execution.origin == Origin.ENDPOINT:
            return no.problem
        execution.is_limited = len(await self._target_database.all_records()) == 1
        if (changed := execution.changed_files(await self._revision_files.history())) is not None:
            return changed
        return None if execution.seconds_left else deadline_passed(execution)

    async def _decide(
        self, execution: OperationExecution, verdict: Decision, problem: Problem | None, read_back: ReadBack
    ) -> Operation | None:
        """The ended operation, or None to try again. In both cases it writes the closing row of the attempt."""
        if verdict is Decision.ATTENTION:
            return await self._needs_attention(execution, problem, read_back)
        cancelled = execution.cancelled.is_set()
        if cancelled or not execution.seconds_left:
            why = CANCELLED if cancelled else deadline_passed(execution)
            if cancelled:
                await self._learn_canceller(execution)
            await self._close_attempt(execution, "cancelled", why)
            state = OperationState.CANCELLED if cancelled else OperationState.FAILED
            return self._ended(execution, state, read_back, why)
        kind = "refused" if problem is not None and problem.code in NOT_STARTED_CODES else "failed"
        problem = problem and specific_problem(execution, problem)
        await self._close_attempt(execution, kind, problem)
        execution.last_problem = problem
        execution.lost += 1 if problem is not None and problem.code == "CM-514" else 0
        if (
            verdict is Decision.AGAIN
            and execution.lost < MAX_LOST_ATTEMPTS
            and monotonic() - execution.began_at < self._settings.patience_seconds
        ):
            return None
        return self._ended(execution, OperationState.FAILED, read_back, problem)

    async def _needs_attention(
        self, execution: OperationExecution, problem: Problem | None, read_back: ReadBack
    ) -> Operation:
        await self._close_attempt(execution, "failed", problem)
        return self._ended(execution, OperationState.NEEDS_ATTENTION, read_back, problem)

    async def _explain_no_session(
        self, execution: OperationExecution, problem: Problem | None
    ) -> tuple[Decision, Problem | None]:
        """Connects with asyncpg, because most drivers do not report why the server refused the connection."""
        try:
            await self._database.probe()
        except DatabaseUnreachable as error:
            return (Decision.AGAIN if error.problem.retryable else Decision.FAILED), self._with_service(error.problem)
        execution.lost += 1  # the server accepts us now, or env.py connects elsewhere
        return (Decision.AGAIN if execution.lost < MAX_LOST_ATTEMPTS else Decision.FAILED), problem

    @retry_unreachable_database
    async def _close_attempt(self, execution: OperationExecution, kind: str, problem: Problem | None) -> None:
        detail = {} if problem is None else problem.model_dump(exclude_none=True)
        canceller = execution.record.cancelled_by if kind == "cancelled" else None
        facts = {"problem": detail or None, "cancelled_by": canceller}
        records = await self._target_database.records()
        attempt = replace(execution.attempt, version_table=records.history)
        async with self._database.connection(execution.claim_connection) as connection:
            await records.journal.append(connection, attempt, kind, **facts)

    @retry_unreachable_database
    async def _learn_canceller(self, execution: OperationExecution) -> None:
        """The wish to cancel may have come to another replica; its name for the journal is in the stored record."""
        records = await self._target_database.records()
        async with self._database.connection(execution.claim_connection) as connection:
            canceller = await records.operations.canceller(connection, execution.request.operation_id)
        execution.update(cancelled_by=canceller or execution.record.cancelled_by)

    def _ended(
        self, execution: OperationExecution, state: OperationState, read_back: ReadBack, error: Problem | None
    ) -> Operation:
        return execution.ended(state, read_back, self._with_service(error))

    @overload
    def _with_service(self, problem: Problem) -> Problem: ...
    @overload
    def _with_service(self, problem: None) -> None: ...
    def _with_service(self, problem: Problem | None) -> Problem | None:
        if problem is None:
            return None
        return self._target_database.mask_problem(problem).model_copy(update={"service": self._settings.service})

    async def _pause(self, execution: OperationExecution) -> None:
        problem = execution.last_problem
        execution.update(waiting_for=problem.full_detail if problem else None)
        # Jitter, so that migrations that collided do not collide again.
        longest = min(LONGEST_PAUSE_SECONDS, 0.25 * 2 ** min(execution.number, 6))
        crowded = problem is not None and problem.sqlstate == TOO_MANY_CONNECTIONS
        await execution.sleep_or_cancel(
            max(CONNECTION_LIMIT_PAUSE_SECONDS if crowded else 0.0, uniform(longest / 2, longest))
        )


def _end_of(*, begun: bool) -> OperationState:
    """How an operation ends whose database was not read back: `failed` would say that it is at a whole revision."""
    return OperationState.NEEDS_ATTENTION if begun else OperationState.FAILED
