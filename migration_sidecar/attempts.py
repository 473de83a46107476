"""Carries one operation out: attempt, read back, judge, and again only when nothing took effect."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict
from random import uniform
from time import monotonic
from typing import Any

from migration_sidecar import store
from migration_sidecar.address import without_password
from migration_sidecar.child.journal import Attempt
from migration_sidecar.course import CANCELLED, Course, Note, too_late
from migration_sidecar.database import Database
from migration_sidecar.errors import DatabaseUnreachable, ProblemError
from migration_sidecar.messages import (
    Action,
    AppliedRevision,
    Operation,
    OperationRequest,
    OperationState,
    Problem,
)
from migration_sidecar.patience import patient
from migration_sidecar.reading import Reader
from migration_sidecar.settings import Settings
from migration_sidecar.standby import Standby
from migration_sidecar.truth import Truth
from migration_sidecar.verdict import FINISHED, LOCK_NOT_AVAILABLE, Ending, Found, Next, judge
from migration_sidecar.warm import MigrationProcess

log = logging.getLogger(__name__)

LONGEST_PAUSE_SECONDS = 15.0
LOST_ATTEMPTS = 5  # a server that keeps dropping the connection is a person's case
REFUSALS = {"CM-404", "CM-406", "CM-521", "CM-541"}  # ours, before or instead of a revision's own failure


class Attempts:
    """Runs migration processes for one service, one at a time."""

    def __init__(
        self,
        settings: Settings,
        section: str,
        database: Database,
        reader: Reader,
        standby: Standby,
        truth: Truth,
    ) -> None:
        self._settings = settings
        self._section = section
        self._database = database
        self._reader = reader
        self._standby = standby
        self._truth = truth
        self._cancelled: set[str] = set()
        self._ending: asyncio.Task[None] | None = None
        self._running: dict[str, tuple[MigrationProcess, int | None]] = {}

    def cancel(self, operation_id: str) -> None:
        """The process under way is ended; what it had committed stays, the open revision is rolled back."""
        self._cancelled.add(operation_id)
        if operation_id in self._running:
            self._ending = asyncio.create_task(self._end(operation_id))

    async def carry_out(self, request: OperationRequest, record: Operation, way_in: str, note: Note) -> Operation:
        """Gives the ended operation; never raises for anything the database or a revision did."""
        run = Course(request, record, way_in, note, monotonic() + request.deadline_seconds)
        try:
            return await self._until_ended(run)
        except DatabaseUnreachable as error:
            # After an attempt nobody knows what stands in a database that stays away: never call that failed.
            state = OperationState.NEEDS_ATTENTION if run.number else OperationState.FAILED
            return run.ended(state, error=self._named(error.problem))
        except ProblemError as error:
            return run.ended(OperationState.FAILED, error=self._named(error.problem))
        finally:
            self._cancelled.discard(request.operation_id)

    async def _until_ended(self, run: Course) -> Operation:
        found = await self._truth.read(run.record)
        run.went_on_from(found.last_attempt)
        if found.unclosed_attempt:
            # A service that died left an attempt without an end: the database tells how it ended.
            found = await self._truth.read(run.record, unclear=run.number)
            verdict, problem = judge(Ending(lost=True), found, self._settings.service)
            if verdict is Next.ATTENTION:
                return await self._needs_attention(run, problem, found)
            await self._close(run, "resolved", None)
        while True:
            if found.obstacles:
                return self._finished(run, OperationState.FAILED, found, found.obstacles[0])
            if not found.left:
                return self._finished(run, OperationState.SUCCEEDED, found)
            if run.request.operation_id in self._cancelled:
                return self._finished(run, OperationState.CANCELLED, found, CANCELLED)
            ending = await self._attempt(run)
            found = await self._truth.read(run.record, unclear=run.number if ending.lost else None)
            verdict, problem = judge(ending, found, self._settings.service)
            ended = await self._decide(run, verdict, problem, found)
            if ended is not None:
                return ended
            await self._pause(run, problem)

    async def _decide(self, run: Course, verdict: Next, problem: Problem | None, found: Found) -> Operation | None:
        """The ended operation, or None to try again; the attempt's closing row is written either way."""
        cancelled = run.request.operation_id in self._cancelled
        if verdict is Next.SUCCEEDED:
            return self._finished(run, OperationState.SUCCEEDED, found)
        if verdict is Next.ATTENTION:
            return await self._needs_attention(run, problem, found)
        if cancelled or monotonic() >= run.deadline:
            why = CANCELLED if cancelled else too_late(run.request.deadline_seconds)
            await self._close(run, "cancelled", why)
            state = OperationState.CANCELLED if cancelled else OperationState.FAILED
            return self._finished(run, state, found, why)
        await self._close(run, "refused" if problem is not None and problem.code in REFUSALS else "failed", problem)
        run.lost += 1 if problem is not None and problem.code == "CM-514" else 0
        if verdict is Next.AGAIN and run.lost < LOST_ATTEMPTS and monotonic() < run.patience_ends:
            return None
        return self._finished(run, OperationState.FAILED, found, problem)

    async def _needs_attention(self, run: Course, problem: Problem | None, found: Found) -> Operation:
        await self._close(run, "failed", problem)
        return self._finished(run, OperationState.NEEDS_ATTENTION, found, problem)

    def job(self, action: Action, target: str) -> dict[str, Any]:
        """What a migration process must know before it has its orders."""
        config_file = str(self._settings.config_file)
        return {
            "kind": "migrate",
            "config_file": config_file,
            "section": self._section,
            "action": action,
            "target": target,
        }

    async def _attempt(self, run: Course) -> Ending:
        attempt = run.next_attempt()
        ending, reached = await self._converse(run, attempt, fresh=False)
        if ending.lost and not reached and run.request.operation_id not in self._cancelled:
            # A process that was kept ready may have lost its connection meanwhile; it had done nothing with it.
            ending, _ = await self._converse(run, attempt, fresh=True)
        return ending

    async def _converse(self, run: Course, attempt: Attempt, *, fresh: bool) -> tuple[Ending, bool]:
        """How the process ended, and whether it had reached the database."""
        job = self.job(run.request.action, run.request.target)
        ending, reached, operation_id = Ending(lost=True), False, run.request.operation_id
        left = max(0.1, run.deadline - monotonic())
        try:
            async with asyncio.timeout(left), self._standby.process(job, fresh=fresh) as process:
                self._running[operation_id] = (process, None)
                await process.order({"attempt": asdict(attempt), "lock_wait_seconds": left})
                async for report in process.reports():
                    reached = reached or report["event"] == "session"
                    ending = self._heard(run, process, report) or ending
                    if operation_id in self._cancelled:
                        await self._end(operation_id)  # it may have been on its way when it was cancelled
        except TimeoutError:
            await self._end(operation_id)
        finally:
            self._running.pop(operation_id, None)
        return ending, reached

    def _heard(self, run: Course, process: MigrationProcess, report: dict[str, Any]) -> Ending | None:
        match report["event"]:
            case "session":
                self._running[run.request.operation_id] = (process, report["pid"])
            case "waiting":
                run.update(waiting_for=report["sentence"])
            case "done":
                return Ending()
            case "failed":
                problem = report["problem"]
                problem["detail"] = without_password(problem["detail"], self._settings.url)
                return Ending(problem, lost=bool(problem.get("connection_lost")))
        return None

    async def _end(self, operation_id: str) -> None:
        process, session = self._running.get(operation_id, (None, None))
        if process is not None:
            await process.end()
        if session is not None:
            await self._truth.end_session(session)

    @patient
    async def _close(self, run: Course, kind: str, problem: Problem | None) -> None:
        detail = {} if problem is None else problem.model_dump(exclude_none=True)
        async with self._database.connection() as connection:
            await store.append(connection, run.attempt, kind, **({"problem": detail} if detail else {}))

    def _finished(self, run: Course, state: OperationState, found: Found, error: Problem | None = None) -> Operation:
        applied = [
            AppliedRevision(
                revision=row.revision or "",
                action=Action.UPGRADE if row.kind == "applied" else Action.DOWNGRADE,
                at=row.at,
                duration_ms=row.detail.get("duration_ms", 0),
                sha256=row.detail.get("sha256"),
            )
            for row in found.rows
            if row.kind in FINISHED
        ]
        error = None if error is None else self._named(error)
        return run.ended(state, error=error, applied=applied, current_revisions=list(found.facts.revisions))

    def _named(self, problem: Problem) -> Problem:
        return problem.model_copy(update={"service": self._settings.service})

    async def _pause(self, run: Course, problem: Problem | None) -> None:
        run.update(waiting_for=await self._in_the_way(problem) if problem else None)
        # Jitter, so that migrations that met once do not meet again at the same moment.
        longest = min(LONGEST_PAUSE_SECONDS, 0.25 * 2 ** min(run.number, 6))
        await asyncio.sleep(min(uniform(longest / 2, longest), max(0.0, run.deadline - monotonic())))

    @patient
    async def _in_the_way(self, problem: Problem) -> str:
        """One sentence; a table that is in use names whoever may be using it."""
        if problem.sqlstate != LOCK_NOT_AVAILABLE:
            return problem.detail
        async with self._database.connection() as connection:
            others = await store.long_transactions(connection, older_than_seconds=1)
        names = ", ".join(f"pid {who.pid} ({who.application or 'no application name'})" for who in others)
        return (
            f"Revision {problem.revision} waits for a table. Open transactions: {names}." if names else problem.detail
        )
