"""Runs one attempt in a worker process: its orders, its reports, and what its end means."""

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
from migration_sidecar.engine.operations.verdict import WorkerExit
from migration_sidecar.forkserver.client import WorkerProcess
from migration_sidecar.protocol.attempt import Attempt
from migration_sidecar.protocol.jobs import MigrateJob
from migration_sidecar.protocol.orders import EXIT_DID_NOTHING, OrdersMessage
from migration_sidecar.protocol.reports import ProblemFacts


@dataclass
class WorkerRun:
    """What one migration process told; without a word about its end the attempt counts as lost."""

    execution: OperationExecution
    ending: WorkerExit = field(default_factory=lambda: WorkerExit(lost=True))
    reported_end: bool = False  # it said itself how it ended
    had_session: bool = False  # it had a session with the database
    unconnected: bool = False  # the driver got no session, and gave no SQLSTATE for the reason

    @property
    def session_may_live(self) -> bool:
        """Nobody closed its session."""
        return not self.reported_end or self.ending.lost

    @property
    def is_conclusive(self) -> bool:
        """Its session can have no more effect; after a failure it may, with a COMMIT sent and its answer not read."""
        return self.reported_end and (self.ending.problem is None or not self.had_session)

    async def run(self, process: AbstractAsyncContextManager[WorkerProcess], orders: OrdersMessage) -> None:
        """Until the process is gone, the operation is cancelled, or its deadline passed: then it is killed."""
        talking = asyncio.create_task(self._talk(process, orders))
        cancelled = asyncio.create_task(self.execution.cancelled.wait())
        try:
            await asyncio.wait(
                {talking, cancelled}, timeout=self.execution.seconds_left, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            cancelled.cancel()
            stopped = talking.cancel()  # leaving its block kills the process
            await asyncio.wait({talking})
        if not stopped:
            talking.result()

    async def _talk(self, process: AbstractAsyncContextManager[WorkerProcess], orders: OrdersMessage) -> None:
        async with process as worker, aclosing(worker.reports()) as reports:
            await worker.send_orders(orders)
            async for report in reports:
                match report["event"]:
                    case "session":
                        self.had_session, self.execution.session = True, report["pid"]
                    case "waiting":
                        self.execution.update(waiting_for=report["sentence"])
                    case "revision":
                        self.execution.revision = report["revision"]
                    case "applied":
                        self.execution.revision = None
                    case "done":
                        self.ending, self.reported_end = WorkerExit(), True
                        return  # nothing comes after it, so nobody waits for the process to be taken down
                    case "failed":
                        self._failed(report["problem"])
                    case "exited" if self._silent and (code := report["code"]) is not None and code != EXIT_DID_NOTHING:
                        self.ending = WorkerExit(_ended_itself(code, self.execution.revision))

    @property
    def _silent(self) -> bool:
        return not self.reported_end and self.ending.problem is None

    def _failed(self, problem: ProblemFacts) -> None:
        self.ending = WorkerExit(problem, lost=bool(problem.get("connection_lost")))
        self.reported_end = True
        self.unconnected = bool(problem.get("unconnected")) and not self.had_session


class WorkerRunner:
    """Gives an attempt to a worker process, and ends what the process may have left behind."""

    def __init__(
        self, settings: Settings, place: TargetDatabase, database: DatabasePool, standby: PrewarmedWorker
    ) -> None:
        self._settings = settings
        self._place = place
        self._database = database
        self._standby = standby

    def job(self, action: Action, target: str) -> MigrateJob:
        """What a worker process must know before it has its orders."""
        return {"kind": "migrate", "action": action, "target": target, **self._settings.job_environment}

    async def run(self, execution: OperationExecution, attempt: Attempt) -> WorkerRun:
        talk = await self._run_once(execution, attempt, fresh=False)
        if talk.ending.lost and not talk.had_session and not execution.cancelled.is_set():
            # A process that was kept ready may have lost its connection meanwhile; it had done nothing with it.
            talk = await self._run_once(execution, attempt, fresh=True)
        return talk

    async def _run_once(self, execution: OperationExecution, attempt: Attempt, *, fresh: bool) -> WorkerRun:
        job = self.job(execution.request.action, execution.request.target)
        talk = WorkerRun(execution)
        await talk.run(self._standby.take(job, fresh=fresh), self._orders(execution, attempt))
        session, execution.session = execution.session, None
        if talk.session_may_live and session is not None:
            with suppress(ProblemError):  # its lock is free a second sooner; the server sees to the rest
                await self._end_session(session)
        return talk

    def _orders(self, execution: OperationExecution, attempt: Attempt) -> OrdersMessage:
        return {
            "attempt": attempt.message(),
            "lock_wait_seconds": max(0.1, execution.seconds_left),
            "guards": dict(self._settings.guards),
            "journal_table": self._settings.journal_table,
            "same_database": True,
            "default_schema": self._place.default_schema,
            "agreed": execution.limits,
            "goals": execution.agreed.goals if execution.agreed is not None else [],
        }

    async def _end_session(self, pid: int) -> None:
        """Ends the session of a process that was ended, so that its lock is free now and not a second later."""
        async with self._database.connection() as connection:
            await connection.execute(
                """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE pid = $1 AND datname = current_database() AND application_name LIKE 'migration-sidecar:%'""",
                pid,
            )


def _ended_itself(code: int, revision: str | None) -> ProblemFacts:
    cause = f"ended its own process with exit code {code}"
    return {
        "code": "CM-401" if revision else "CM-407",
        "detail": f"Revision {revision} {cause}; the database is at the revision before it."
        if revision
        else f"The migration environment {cause}.",
        "next_step": f"Remove the exit from {'the revision file' if revision else 'env.py'} and migrate again.",
        "revision": revision,
        "cause": cause,
    }
