"""Runs one attempt in a worker process: sends orders, reads reports, and returns how it ended."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from dataclasses import dataclass, field

from migration_sidecar.alembic_environment.target_database import TargetDatabase
from migration_sidecar.config.settings import Settings
from migration_sidecar.contract.errors import ProblemError
from migration_sidecar.contract.messages import Action
from migration_sidecar.database.pool import DatabasePool
from migration_sidecar.engine.operations.execution import OperationExecution
from migration_sidecar.engine.operations.prewarmed_worker import PrewarmedWorker
from migration_sidecar.engine.operations.session_end import UnclearEnd, end_sessions
from migration_sidecar.engine.operations.verdict import WorkerExit
from migration_sidecar.forkserver.answer import OUT_OF_MEMORY
from migration_sidecar.forkserver.client import WorkerProcess
from migration_sidecar.protocol.attempt import Attempt
from migration_sidecar.protocol.jobs import MigrateJob
from migration_sidecar.protocol.orders import EXIT_DID_NOTHING, OrdersMessage
from migration_sidecar.protocol.reports import Exited, ProblemFacts
from migration_sidecar.protocol.version_table import VersionTable

LAST_REPORTS_SECONDS = 10.0  # a killed process is gone in milliseconds, on a busy machine in a second


@dataclass
class WorkerRun:
    """One run of a worker process. If it reports no end, the attempt counts as lost."""

    execution: OperationExecution
    ending: WorkerExit = field(default_factory=lambda: WorkerExit(lost=True))
    reported_end: bool = False  # it reported `done` or `failed`
    sessions: set[int] = field(default_factory=set)  # pids of the server processes that migrated for it
    has_all_reports: bool = False  # every report was read that the process wrote before it ended
    version_tables: list[VersionTable] = field(default_factory=list)  # those that it migrated
    unconnected: bool = False  # the driver got no session and no SQLSTATE
    _process: WorkerProcess | None = None  # since it may have read its orders

    @property
    def had_session(self) -> bool:
        """Whether it had a session with the database."""
        return bool(self.sessions)

    @property
    def wrote_nothing(self) -> bool:
        """Whether it surely wrote nothing: it reports each session before it writes with it, and it is dead."""
        return not self.had_session and (self._process is None or self.has_all_reports)

    @property
    def unclear_end(self) -> UnclearEnd | None:
        """None if the attempt has no more effect. After a failure a COMMIT may have been sent without an answer."""
        if self.wrote_nothing or (self.reported_end and (self.ending.problem is None or not self.had_session)):
            return None
        knows_sessions = self.has_all_reports or self.reported_end
        sessions = frozenset(self.sessions) if knows_sessions else None
        return UnclearEnd(self.execution.number, sessions, is_abandoned=self.session_may_live)

    @property
    def session_may_live(self) -> bool:
        """Whether the session may still be open, because the process did not close it."""
        return not self.reported_end or self.ending.lost

    async def run(self, process: AbstractAsyncContextManager[WorkerProcess], orders: OrdersMessage) -> None:
        """Returns when the process ends, the operation is cancelled, or its deadline passes.

        Then kills the process, and reads what it had reported before: that tells whether it had a session.
        """
        exchange = asyncio.create_task(self._exchange_messages(process, orders))
        cancelled = asyncio.create_task(self.execution.cancelled.wait())
        try:
            await asyncio.wait(
                {exchange, cancelled}, timeout=self.execution.seconds_left, return_when=asyncio.FIRST_COMPLETED
            )
            if self._process is not None and not exchange.done():
                await self._process.kill()
                await asyncio.wait({exchange}, timeout=LAST_REPORTS_SECONDS)
        finally:
            cancelled.cancel()
            stopped = exchange.cancel()  # the end of its block kills the process
            await asyncio.wait({exchange})
        if not stopped:
            exchange.result()

    async def _exchange_messages(
        self, process: AbstractAsyncContextManager[WorkerProcess], orders: OrdersMessage
    ) -> None:
        async with process as worker, aclosing(worker.reports()) as reports:
            self._process = worker
            await worker.send_orders(orders)
            async for report in reports:
                match report["event"]:
                    case "session":
                        self.sessions.add(report["pid"])
                        self.execution.session = report["pid"]
                    case "waiting":
                        self.execution.update(waiting_for=report["sentence"])
                    case "migrating":
                        table, schema = report["version_table"], report["version_table_schema"]
                        self.version_tables.append(VersionTable(table, schema))
                    case "revision":
                        self.execution.revision = report["revision"]
                    case "executed":
                        self.execution.revision = None
                    case "done":
                        self.ending, self.reported_end = WorkerExit(), True
                        return  # the last report; the end of the process is not waited for
                    case "failed":
                        self._record_failure(report["problem"])
                    case "exited":
                        self._record_exit(report)
                        break  # a process that the revision started may keep the connection open
            self.has_all_reports = True

    def _record_exit(self, report: Exited) -> None:
        if not self._has_no_result:
            return
        if report.get("over_memory"):
            self.ending = WorkerExit(_memory_problem(self.execution.revision))
        elif (code := report["code"]) is not None and code != EXIT_DID_NOTHING:
            self.ending = WorkerExit(_exit_problem(code, self.execution.revision))

    @property
    def _has_no_result(self) -> bool:
        return not self.reported_end and self.ending.problem is None

    def _record_failure(self, problem: ProblemFacts) -> None:
        self.ending = WorkerExit(problem, lost=bool(problem.get("connection_lost")))
        self.reported_end = True
        self.unconnected = bool(problem.get("unconnected")) and not self.had_session


class WorkerRunner:
    """Runs attempts in worker processes, and ends a session that a process left open."""

    def __init__(
        self,
        settings: Settings,
        target_database: TargetDatabase,
        database: DatabasePool,
        prewarmed_worker: PrewarmedWorker,
    ) -> None:
        self._settings = settings
        self._target_database = target_database
        self._database = database
        self._prewarmed_worker = prewarmed_worker

    def job(self, action: Action, target: str) -> MigrateJob:
        """The job for a worker process. The attempt itself is in the orders, which are sent later."""
        target = self._settings.target if target == "head" and self._settings.target else target
        return {"kind": "migrate", "action": action, "target": target, **self._settings.job_environment}

    async def run(self, execution: OperationExecution, attempt: Attempt) -> WorkerRun:
        """Runs one attempt. If the process was lost before it had a session, a new process repeats it once."""
        worker_run = await self._run_once(execution, attempt, fresh=False)
        goes_on = execution.seconds_left and not execution.cancelled.is_set()
        if worker_run.ending.lost and worker_run.wrote_nothing and goes_on:
            # A prepared process may have lost its connection before it had orders.
            worker_run = await self._run_once(execution, attempt, fresh=True)
        return worker_run

    async def _run_once(self, execution: OperationExecution, attempt: Attempt, *, fresh: bool) -> WorkerRun:
        job = self.job(execution.request.action, execution.request.target)
        worker_run = WorkerRun(execution)
        await worker_run.run(self._prewarmed_worker.take(job, fresh=fresh), self._orders(execution, attempt))
        execution.session = None
        if worker_run.session_may_live and worker_run.sessions:
            with suppress(ProblemError):  # without it the server frees the lock a second later
                async with self._database.connection() as connection:
                    await end_sessions(connection, execution.request.operation_id, worker_run.sessions)
        return worker_run

    def _orders(self, execution: OperationExecution, attempt: Attempt) -> OrdersMessage:
        return {
            "attempt": attempt.message(),
            "lock_wait_seconds": max(0.1, execution.seconds_left),
            "guards": dict(self._settings.guards),
            "journal_table": self._settings.journal_table,
            "same_database": True,
            "default_schema": self._target_database.default_schema,
            "reads_schema": not self._settings.uses_our_environment,
            "transaction_per_revision": self._settings.transaction_per_revision,
            "agreed": execution.limits,
            "goals": execution.agreed.goals if execution.agreed is not None else [],
            "beside": execution.beside,
        }


def _memory_problem(revision: str | None) -> ProblemFacts:
    cause = "used more memory than memory_limit_mb allows, and was ended"
    return {
        "code": "CM-401" if revision else "CM-407",
        "detail": f"Revision {revision} {cause}." if revision else f"The migration environment {cause}.",
        "next_step": OUT_OF_MEMORY,
        "revision": revision,
        "cause": cause,
    }


def _exit_problem(code: int, revision: str | None) -> ProblemFacts:
    cause = f"ended its own process with exit code {code}"
    return {
        "code": "CM-401" if revision else "CM-407",
        "detail": f"Revision {revision} {cause}; its transaction was undone."
        if revision
        else f"The migration environment {cause}.",
        "next_step": f"Remove the exit from {'the revision file' if revision else 'env.py'} and migrate again.",
        "revision": revision,
        "cause": cause,
    }
