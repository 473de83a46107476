"""Carries one operation out: attempt, read back, judge, and again only when nothing took effect."""

from __future__ import annotations

from dataclasses import replace
from random import uniform
from time import monotonic
from typing import overload

from migration_sidecar.alembic_environment.revision_files import RevisionFiles
from migration_sidecar.alembic_environment.target_database import TargetDatabase
from migration_sidecar.config.downgrade_permission import downgrade_refusal
from migration_sidecar.config.settings import Settings
from migration_sidecar.contract.errors import DatabaseUnreachable, LockBusy, ProblemError
from migration_sidecar.contract.messages import Operation, OperationState, Problem
from migration_sidecar.database.load_deadline import LoadDeadline
from migration_sidecar.database.pool import DatabasePool
from migration_sidecar.engine.operations.execution import (
    CANCELLED,
    OperationExecution,
    deadline_passed,
    specific_problem,
)
from migration_sidecar.engine.operations.read_back import ReadBackReader
from migration_sidecar.engine.operations.retry import retry_unreachable_database
from migration_sidecar.engine.operations.verdict import TOO_MANY_CONNECTIONS, Decision, ReadBack, WorkerExit, decide
from migration_sidecar.engine.operations.worker_run import WorkerRunner
from migration_sidecar.protocol.origin import Origin

LONGEST_PAUSE_SECONDS = 15.0
CROWDED_PAUSE_SECONDS = 1.0  # a server without a free connection is not asked more often
LOST_ATTEMPTS = 5  # a server that keeps dropping the connection is a person's case
# Ours, before or instead of a revision's own failure.
NOT_STARTED_CODES = {"CM-306", "CM-404", "CM-406", "CM-521", "CM-541", "CM-702"}


class OperationExecutor:
    """Carries out operations that this process has claimed; the queue gives it one after the other."""

    def __init__(
        self,
        settings: Settings,
        place: TargetDatabase,
        database: DatabasePool,
        scripts: RevisionFiles,
        workers: WorkerRunner,
        truth: ReadBackReader,
    ) -> None:
        self._settings = settings
        self._place = place
        self._database = database
        self._scripts = scripts
        self._workers = workers
        self._truth = truth

    async def execute(self, run: OperationExecution) -> Operation:
        """Gives the ended operation; never raises for anything the database or a revision did."""
        try:
            return await self._until_ended(run)
        except (DatabaseUnreachable, LockBusy) as error:
            # After an attempt nobody knows what stands in a database that cannot be asked: never call that failed.
            state = OperationState.NEEDS_ATTENTION if run.number else OperationState.FAILED
            return run.ended(state, error=self._named(error.problem))
        except ProblemError as error:
            return run.ended(OperationState.FAILED, error=self._named(error.problem))

    async def _until_ended(self, run: OperationExecution) -> Operation:
        # For the files; once something was attempted, the truth is waited for.
        loading = LoadDeadline.after(run.request.deadline_seconds)
        found = run.planned or await self._truth.read(run, loading=loading)
        run.number = max(run.number, found.last_attempt)
        if found.unclosed_attempt:
            # A service that died left an attempt without an end: the database tells how it ended.
            found = await self._truth.read(run, unclear=run.number)
            verdict, problem = decide(WorkerExit(lost=True), found, self._settings.service)
            if verdict is Decision.ATTENTION:
                return await self._needs_attention(run, self._named(problem), found)
            await self._close_attempt(run, "resolved", None)
        while True:
            if run.cancelled.is_set() and (found.left or found.obstacles):
                return self._finished(run, OperationState.CANCELLED, found, CANCELLED)
            if (problem := await self._obstacle(run, found)) is not None:
                return self._finished(run, OperationState.FAILED, found, problem)
            if not found.left:
                return run.ended(OperationState.SUCCEEDED, found)
            talk = await self._workers.run(run, run.next_attempt())
            found = await self._truth.read(run, unclear=None if talk.is_conclusive else run.number)
            verdict, problem = decide(talk.ending, found, self._settings.service)
            if verdict is Decision.FAILED and talk.unconnected:
                verdict, problem = await self._explain_no_session(run, problem)
            if verdict is Decision.SUCCEEDED:
                return run.ended(OperationState.SUCCEEDED, found)
            ended = await self._decide(run, verdict, self._named(problem), found)
            if ended is not None:
                return ended
            await self._pause(run)

    async def _obstacle(self, run: OperationExecution, found: ReadBack) -> Problem | None:
        """Of another attempt; of nothing, where nothing is left to do."""
        if found.obstacles or not found.left:
            return found.obstacles[0] if found.obstacles else None
        # Also of one that was accepted while the settings, or an older release, allowed it.
        no = downgrade_refusal(self._settings, run.request.action, run.request.target)
        if no is not None and run.origin == Origin.ENDPOINT:
            return no.problem
        run.is_limited = len(await self._place.all_records()) == 1
        if (changed := run.changed_files(await self._scripts.history())) is not None:
            return changed
        return None if run.seconds_left else deadline_passed(run)

    async def _decide(
        self, run: OperationExecution, verdict: Decision, problem: Problem | None, found: ReadBack
    ) -> Operation | None:
        """The ended operation, or None to try again; the attempt's closing row is written either way."""
        if verdict is Decision.ATTENTION:
            return await self._needs_attention(run, problem, found)
        cancelled = run.cancelled.is_set()
        if cancelled or not run.seconds_left:
            why = CANCELLED if cancelled else deadline_passed(run)
            await self._close_attempt(run, "cancelled", why)
            state = OperationState.CANCELLED if cancelled else OperationState.FAILED
            return self._finished(run, state, found, why)
        kind = "refused" if problem is not None and problem.code in NOT_STARTED_CODES else "failed"
        problem = problem and specific_problem(run, problem)
        await self._close_attempt(run, kind, problem)
        run.last_problem = problem
        run.lost += 1 if problem is not None and problem.code == "CM-514" else 0
        if (
            verdict is Decision.AGAIN
            and run.lost < LOST_ATTEMPTS
            and monotonic() - run.began_at < self._settings.patience_seconds
        ):
            return None
        return self._finished(run, OperationState.FAILED, found, problem)

    async def _needs_attention(self, run: OperationExecution, problem: Problem | None, found: ReadBack) -> Operation:
        await self._close_attempt(run, "failed", problem)
        return self._finished(run, OperationState.NEEDS_ATTENTION, found, problem)

    async def _explain_no_session(
        self, run: OperationExecution, problem: Problem | None
    ) -> tuple[Decision, Problem | None]:
        """Most drivers keep to themselves why the server let nobody in; one that tells is asked."""
        try:
            await self._database.probe()
        except DatabaseUnreachable as error:
            return (Decision.AGAIN if error.problem.retryable else Decision.FAILED), self._named(error.problem)
        run.lost += 1  # it lets us in again, or env.py knocks at another door
        return (Decision.AGAIN if run.lost < LOST_ATTEMPTS else Decision.FAILED), problem

    @retry_unreachable_database
    async def _close_attempt(self, run: OperationExecution, kind: str, problem: Problem | None) -> None:
        detail = {} if problem is None else problem.model_dump(exclude_none=True)
        records = await self._place.records()
        attempt = replace(run.attempt, version_table=records.history)
        async with self._database.connection(run.claim_connection) as connection:
            await records.journal.append(connection, attempt, kind, **({"problem": detail} if detail else {}))

    def _finished(
        self, run: OperationExecution, state: OperationState, found: ReadBack, error: Problem | None
    ) -> Operation:
        return run.ended(state, found, self._named(error))

    @overload
    def _named(self, problem: Problem) -> Problem: ...
    @overload
    def _named(self, problem: None) -> None: ...
    def _named(self, problem: Problem | None) -> Problem | None:
        if problem is None:
            return None
        return self._place.mask_problem(problem).model_copy(update={"service": self._settings.service})

    async def _pause(self, run: OperationExecution) -> None:
        problem = run.last_problem
        run.update(waiting_for=problem.full_detail if problem else None)
        # Jitter, so that migrations that met once do not meet again at the same moment.
        longest = min(LONGEST_PAUSE_SECONDS, 0.25 * 2 ** min(run.number, 6))
        crowded = problem is not None and problem.sqlstate == TOO_MANY_CONNECTIONS
        await run.sleep_or_cancel(max(CROWDED_PAUSE_SECONDS if crowded else 0.0, uniform(longest / 2, longest)))
