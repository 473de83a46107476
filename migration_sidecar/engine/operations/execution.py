"""One operation in this process, from its acceptance to its end, and the problems that are told in terms of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any

from migration_sidecar.alembic_environment.agreed_revisions import AgreedPlan
from migration_sidecar.alembic_environment.history import History
from migration_sidecar.contract.errors import PlanChanged
from migration_sidecar.contract.messages import (
    Action,
    AppliedRevision,
    Operation,
    OperationRequest,
    OperationState,
    Problem,
)
from migration_sidecar.contract.plan_agreement import OTHER_FILES
from migration_sidecar.database.operations_table import StoredOperation
from migration_sidecar.database.pool import HeldConnection
from migration_sidecar.engine.operations.verdict import FINISHED, LOCK_NOT_AVAILABLE, ReadBack
from migration_sidecar.protocol.attempt import Attempt
from migration_sidecar.protocol.origin import Origin

if TYPE_CHECKING:
    from migration_sidecar.database.connect import AnyConnection

FRESH_SECONDS = 1.0  # what was read when the operation was accepted is believed that long


@dataclass
class OperationExecution:
    """The only holder of an operation's record in this process.

    The queue makes it when the operation is accepted or taken up, and forgets it at the end. In between this replica
    may claim and drive it, perhaps several times: the fields from `deadline` on are of the last time.
    """

    request: OperationRequest
    record: Operation
    origin: Origin
    planned: ReadBack | None = None  # what the plan was made of, where the operation was accepted here
    agreed: AgreedPlan | None = None  # None where an older release accepted it, until the files of now were read
    created_at: float = field(default_factory=monotonic)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)  # set by whoever wants it ended, at any moment
    is_executing: bool = False  # by this process; else the record follows what another replica stores
    deadline: float = inf  # by time.monotonic()
    began_at: float = 0.0  # likewise
    claim_connection: HeldConnection = field(default_factory=HeldConnection)  # the session that claimed the operation
    number: int = 0  # of the last attempt, whichever process made it
    lost: int = 0  # attempts whose process or connection went away
    session: int | None = None  # pid of the server process that migrates
    revision: str | None = None  # the one under way
    last_problem: Problem | None = None  # how the last attempt ended
    blocked_by: str | None = None  # what the attempt was last seen waiting for, and who held it
    # To the agreed revisions; not where env.py keeps several version tables, because each may be elsewhere.
    is_limited: bool = True

    @contextmanager
    def executing(self, stored: StoredOperation | None, session: AnyConnection) -> Iterator[None]:
        """While the session that has claimed the operation is there; `stored` is what was read with it."""
        self._begin(stored)
        self.claim_connection, self.is_executing = HeldConnection(session), True
        try:
            yield
        finally:
            self.claim_connection, self.is_executing = HeldConnection(), False

    def _begin(self, stored: StoredOperation | None) -> None:
        """Attempts of another process count, and the time since the first of them."""
        self.began_at = monotonic()
        self.deadline = self.began_at + self.request.deadline_seconds
        self.number = self.lost = 0
        self.session = self.revision = self.last_problem = self.blocked_by = None
        if stored is None or not stored.is_untouched or self.began_at - self.created_at >= FRESH_SECONDS:
            self.planned = None
        if stored is None:
            return
        if stored.cancelled:
            self.cancelled.set()
        self.agreed = AgreedPlan.model_validate_json(stored.agreed) if stored.agreed is not None else None
        # A number that is used twice would be taken for a repeat.
        self.number = stored.attempts
        self.deadline -= stored.began_seconds_ago
        self.record = stored.record.model_copy(update={"attempts": stored.attempts})

    @property
    def seconds_left(self) -> float:
        return max(0.0, self.deadline - monotonic())

    @property
    def attempt(self) -> Attempt:
        return Attempt(
            operation_id=self.request.operation_id,
            number=self.number,
            actor=self.request.requested_by,
            way_in=self.origin,
            request_id=self.request.request_id,
            facts={"service": self.record.service},
        )

    @property
    def limits(self) -> dict[str, str | None] | None:
        """The revisions that may be applied or reverted, each with the SHA-256 of its file where a plan was agreed to.

        None for any: an upgrade whose caller did not say where it begins does what is missing, if more is missing by
        then.
        """
        by_plan = self.request.plan_digest is not None
        said = by_plan or self.request.expected_revisions is not None
        if self.agreed is None or not self.is_limited or (not said and self.agreed.action is Action.UPGRADE):
            return None
        return {each.id: each.sha256 if by_plan else None for each in self.agreed.revisions}

    def changed_files(self, history: History) -> Problem | None:
        """What is in the way where files were replaced while the operation waited for others, or for a restart."""
        if self.request.plan_digest is None or self.agreed is None:
            return None
        now = history.revisions
        same = all(each.id in now and now[each.id].sha256 == each.sha256 for each in self.agreed.revisions)
        return None if same else PlanChanged(OTHER_FILES).problem

    def next_attempt(self) -> Attempt:
        self.number += 1
        self.session = self.revision = self.blocked_by = None
        started = self.record.started_at or datetime.now(UTC)
        self.update(state=OperationState.RUNNING, attempts=self.number, started_at=started, waiting_for=None)
        return self.attempt

    def update(self, **facts: Any) -> None:
        self.record = self.record.model_copy(update=facts)

    def set_waiting_for(self, in_the_way: str | None) -> None:
        """What the server says the migration's session waits for; what the session itself tells is kept."""
        before = self._waiting(self.blocked_by)
        if in_the_way is not None:
            self.blocked_by = in_the_way
            self.update(waiting_for=self._waiting(in_the_way))
        elif before is not None and self.record.waiting_for == before:
            self.update(waiting_for=None)

    def _waiting(self, in_the_way: str | None) -> str | None:
        who = f"Revision {self.revision}" if self.revision else "The migration"
        return f"{who} {in_the_way}." if in_the_way else None

    async def sleep_or_cancel(self, seconds: float) -> None:
        """Ends early when there is nothing left to wait for."""
        with suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, self.seconds_left)):
                await self.cancelled.wait()

    def ended(self, state: OperationState, found: ReadBack | None = None, error: Problem | None = None) -> Operation:
        """The record as it ends, with what was read back; the caller stores it before anybody may see it."""
        facts: dict[str, Any] = {"state": state, "finished_at": datetime.now(UTC), "waiting_for": None, "error": error}
        facts["started_at"] = self.record.started_at or self.record.accepted_at
        if found is not None:
            facts |= {"current_revisions": found.revisions, "applied": _applied(found)}
        return self.record.model_copy(update=facts)


def _applied(found: ReadBack) -> list[AppliedRevision]:
    return [
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


CANCELLED = Problem.of("CM-408", "It was asked to stop and stopped at a whole revision.")


def deadline_passed(run: OperationExecution) -> Problem:
    last = f" It last {run.blocked_by}." if run.blocked_by else ""
    return Problem.of(
        "CM-403",
        f"The operation was not done within {run.request.deadline_seconds} s; it was ended, and the database is at a"
        f" whole revision.{last}",
    )


RESOURCE_SQLSTATES = {"53100": "disk space", "53200": "memory"}
_KEPT = {"service", "revision", "sqlstate", "server_message"}


def specific_problem(run: OperationExecution, problem: Problem) -> Problem:
    """What stopped a revision without being its fault has a code and a next step of its own."""
    if problem.sqlstate == LOCK_NOT_AVAILABLE:
        return _in_use(run, problem)
    if problem.sqlstate in RESOURCE_SQLSTATES and problem.revision is not None:
        return _out_of_room(problem, RESOURCE_SQLSTATES[problem.sqlstate])
    return problem


def _out_of_room(problem: Problem, what: str) -> Problem:
    return Problem.of(
        "CM-532",
        f"The server had no {what} left for revision {problem.revision}; the database is at the revision before it.",
        next_step=f"Make room: the server needs more {what}. Then migrate again.",
        retryable=False,
        **problem.model_dump(include=_KEPT),
    )


def _in_use(run: OperationExecution, problem: Problem) -> Problem:
    """A revision that gave way to others until nobody wanted to wait any longer."""
    waited = run.blocked_by or "waits for a lock that others hold"
    detail = f"Revision {problem.revision} {waited}; the database is at the revision before it."
    return Problem.of("CM-404", detail, **problem.model_dump(include=_KEPT))
