"""Runs one attempt in a worker process: its orders, its reports, and what its end means."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from dataclasses import dataclass, field

from migration_sidecar.alembic_environment.target_database import Place
from migration_sidecar.config.settings import Settings
from migration_sidecar.contract.errors import ProblemError
from migration_sidecar.contract.messages import Action
from migration_sidecar.database.pool import Database
from migration_sidecar.engine.operations.execution import OperationExecution
from migration_sidecar.engine.operations.prewarmed_worker import Standby
from migration_sidecar.engine.operations.verdict import Ending
from migration_sidecar.forkserver.client import MigrationProcess
from migration_sidecar.protocol.attempt import Attempt
from migration_sidecar.protocol.jobs import MigrateJob
from migration_sidecar.protocol.orders import DID_NOTHING, OrdersMessage
from migration_sidecar.protocol.reports import ProblemFacts


@dataclass
class Conversation:
    """What one migration process told; without a word about its end the attempt counts as lost."""

    run: OperationExecution
    ending: Ending = field(default_factory=lambda: Ending(lost=True))
    told: bool = False  # it said itself how it ended
    reached: bool = False  # it had a session with the database
    unconnected: bool = False  # the driver got no session, and gave no SQLSTATE for the reason

    @property
    def cut_off(self) -> bool:
        """Nobody closed its session."""
        return not self.told or self.ending.lost

    @property
    def at_rest(self) -> bool:
        """Its session can have no more effect; after a failure it may, with a COMMIT sent and its answer not read."""
        return self.told and (self.ending.problem is None or not self.reached)

    async def hold(self, process: AbstractAsyncContextManager[MigrationProcess], orders: OrdersMessage) -> None:
        """Until the process is gone, the operation is cancelled, or its deadline passed: then it is killed."""
        talking = asyncio.create_task(self._talk(process, orders))
        cancelled = asyncio.create_task(self.run.cancelled.wait())
        try:
            await asyncio.wait({talking, cancelled}, timeout=self.run.seconds_left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            cancelled.cancel()
            stopped = talking.cancel()  # leaving its block kills the process
            await asyncio.wait({talking})
        if not stopped:
            talking.result()

    async def _talk(self, process: AbstractAsyncContextManager[MigrationProcess], orders: OrdersMessage) -> None:
        async with process as worker, aclosing(worker.reports()) as reports:
            await worker.order(orders)
            async for report in reports:
                match report["event"]:
                    case "session":
                        self.reached, self.run.session = True, report["pid"]
                    case "waiting":
                        self.run.update(waiting_for=report["sentence"])
                    case "revision":
                        self.run.revision = report["revision"]
                    case "applied":
                        self.run.revision = None
                    case "done":
                        self.ending, self.told = Ending(), True
                        return  # nothing comes after it, so nobody waits for the process to be taken down
                    case "failed":
                        self._failed(report["problem"])
                    case "exited" if self._silent and (code := report["code"]) is not None and code != DID_NOTHING:
                        self.ending = Ending(_ended_itself(code, self.run.revision))

    @property
    def _silent(self) -> bool:
        return not self.told and self.ending.problem is None

    def _failed(self, problem: ProblemFacts) -> None:
        self.ending = Ending(problem, lost=bool(problem.get("connection_lost")))
        self.told = True
        self.unconnected = bool(problem.get("unconnected")) and not self.reached


class WorkerRunner:
    """Gives an attempt to a worker process, and ends what the process may have left behind."""

    def __init__(self, settings: Settings, place: Place, database: Database, standby: Standby) -> None:
        self._settings = settings
        self._place = place
        self._database = database
        self._standby = standby

    def job(self, action: Action, target: str) -> MigrateJob:
        """What a worker process must know before it has its orders."""
        return {"kind": "migrate", "action": action, "target": target, **self._settings.job_environment}

    async def run(self, execution: OperationExecution, attempt: Attempt) -> Conversation:
        talk = await self._run_once(execution, attempt, fresh=False)
        if talk.ending.lost and not talk.reached and not execution.cancelled.is_set():
            # A process that was kept ready may have lost its connection meanwhile; it had done nothing with it.
            talk = await self._run_once(execution, attempt, fresh=True)
        return talk

    async def _run_once(self, execution: OperationExecution, attempt: Attempt, *, fresh: bool) -> Conversation:
        job = self.job(execution.request.action, execution.request.target)
        talk = Conversation(execution)
        await talk.hold(self._standby.process(job, fresh=fresh), self._orders(execution, attempt))
        session, execution.session = execution.session, None
        if talk.cut_off and session is not None:
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
