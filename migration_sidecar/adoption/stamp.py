"""Stamps a database with its revision, under the migration lock and with a journal, after it was compared."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from migration_sidecar.alembic_environment.probe_problems import never_configured
from migration_sidecar.contract.errors import NotAdopted
from migration_sidecar.contract.messages import Action, Operation, OperationRequest, OperationState, Problem
from migration_sidecar.database.facts import read_facts
from migration_sidecar.engine.engine import Engine
from migration_sidecar.protocol.attempt import Attempt
from migration_sidecar.protocol.catalog.snapshot import Exclusions
from migration_sidecar.protocol.jobs import StampJob, StampProof
from migration_sidecar.protocol.orders import OrdersMessage
from migration_sidecar.protocol.origin import Origin

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection, MigrationRecords

LOCK_SECONDS = 600.0
CONFIGURES_SECONDS = 60.0
SESSION_END_SECONDS = 60.0  # by its guards, the session of a lost process ends within seconds


@dataclass(frozen=True)
class AdoptionProof:
    """What was compared. The worker compares it again when it has the lock."""

    revisions: list[str]
    digest: str
    objects: int
    left_out: Exclusions
    built_in: str

    def message(self) -> StampProof:
        """For the job of the worker process."""
        return {"revisions": self.revisions, "digest": self.digest, "left_out": self.left_out.message()}

    def journaled(self) -> dict[str, Any]:
        """What the journal says about the comparison."""
        return {"catalog_sha256": self.digest, "objects": self.objects, "built_in": self.built_in}


class StampExecutor:
    """One attempt to stamp. It is not retried; a person may call the command again."""

    def __init__(self, engine: Engine, actor: str, tell: Callable[[str], None]) -> None:
        self._engine = engine
        self._tell = tell
        self._sessions: set[int] = set()  # pids of the worker's server processes
        self._request = OperationRequest(operation_id=f"adopt-{uuid4()}", target="head", requested_by=actor)

    async def execute(self, proof: AdoptionProof) -> None:
        """Stamps, and checks the version rows and the journal afterwards. Raises NotAdopted."""
        records = await self._engine.target_database.records()
        attempt = Attempt(
            operation_id=self._request.operation_id,
            number=1,
            actor=self._request.requested_by,
            way_in=Origin.BY_HAND,
            facts={"service": self._engine.settings.service, "adopted": proof.journaled()},
            version_table=records.history,
        )
        record = self._first_record(proof)
        async with self._engine.database.connection() as connection:
            await records.prepare(connection)
            await records.operations.insert(connection, self._request, record)
        problem = await self._run_worker(proof, attempt)
        async with self._engine.database.connection() as connection:
            is_final = await self._wait_for_session_end(connection, records)
            ended = await self._read_back(connection, records, proof, record, problem)
            if ended.error is not None and not is_final:
                ended = ended.model_copy(update={"state": OperationState.NEEDS_ATTENTION})
            if ended.error is not None:
                facts = ended.error.model_dump(exclude_none=True)
                await records.journal.append(connection, attempt, "refused", problem=facts)
            await records.operations.save(connection, ended)
        if ended.error is not None:
            raise NotAdopted.of(ended.error)

    def _first_record(self, proof: AdoptionProof) -> Operation:
        """The first record is `failed`, so that no service continues it as a migration if we die here."""
        now = datetime.now(UTC)
        return Operation(
            operation_id=self._request.operation_id,
            service=self._engine.settings.service,
            database=self._engine.target_database.database,
            action=Action.ADOPT,
            target=" ".join(proof.revisions),
            state=OperationState.FAILED,
            attempts=1,
            accepted_at=now,
            started_at=now,
            error=_worker_lost(),
        )

    async def _run_worker(self, proof: AdoptionProof, attempt: Attempt) -> Problem | None:
        """Runs the worker. Returns the problem it reported, or None, which does not prove that it stamped."""
        settings, problem = self._engine.settings, None
        job: StampJob = {
            "kind": "migrate",
            "action": "stamp",
            "target": proof.revisions[0],
            "proof": proof.message(),
            **settings.job_environment,
        }
        orders: OrdersMessage = {
            "attempt": attempt.message(),
            "lock_wait_seconds": LOCK_SECONDS,
            "guards": dict(settings.guards),
            "journal_table": settings.journal_table,
            "same_database": True,
            "reads_schema": not settings.uses_our_environment,
            "transaction_per_revision": False,
            "default_schema": "",
            "agreed": None,
            "goals": [],
            "beside": None,
        }
        try:
            async with asyncio.timeout(CONFIGURES_SECONDS) as limit, self._engine.forkserver.run(job) as process:
                await process.send_orders(orders)
                async for report in process.reports():
                    if report["event"] == "session":
                        self._sessions.add(report["pid"])
                        limit.reschedule(None)  # from now on lock_wait_seconds and the guards limit it
                    if report["event"] == "waiting" and report["sentence"]:
                        self._tell(report["sentence"])
                    if report["event"] == "failed":
                        problem = Problem.of(**report["problem"])
        except TimeoutError:
            return never_configured(CONFIGURES_SECONDS)
        return problem

    async def _wait_for_session_end(self, connection: AnyConnection, records: MigrationRecords) -> bool:
        """Waits until the session has ended, and says whether it has.

        The server may still execute a COMMIT of a lost process.
        """
        deadline = monotonic() + SESSION_END_SECONDS
        while await records.journal.live_sessions(connection, self._request.operation_id, 1, self._sessions):
            if monotonic() > deadline:
                return False
            await asyncio.sleep(0.05)
        return True

    async def _read_back(
        self,
        connection: AnyConnection,
        records: MigrationRecords,
        proof: AdoptionProof,
        record: Operation,
        problem: Problem | None,
    ) -> Operation:
        revisions = sorted((await read_facts(connection, records)).revisions)
        journaled = {row.revision for row in await records.journal.read(connection, self._request.operation_id)}
        done = revisions == sorted(proof.revisions) and set(proof.revisions) <= journaled
        error = None if done else self._engine.target_database.mask_problem(problem or _worker_lost())
        return record.model_copy(
            update={
                "state": OperationState.SUCCEEDED if done else OperationState.FAILED,
                "current_revisions": revisions,
                "finished_at": datetime.now(UTC),
                "error": error,
            }
        )


def _worker_lost() -> Problem:
    return Problem.of("CM-554", "Its process was lost before it said how it ended.")
