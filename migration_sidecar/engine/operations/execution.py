"""The state of one operation in this process, and the problems that are described with it."""

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

FRESH_SECONDS = 1.0  # how long the read-back of the plan is used


@dataclass
class OperationExecution:
    """The only holder of an operation's record in this process.

    The queue creates it when the operation is accepted or resumed, and drops it at the end. In between this replica may
    claim and execute it several times: the fields from `deadline` on belong to the last time.
    """

    request: OperationRequest
    record: Operation
    origin: Origin
    planned: ReadBack | None = None  # the read-back of the plan, if this process accepted the operation
    agreed: AgreedPlan | None = None  # None if an older release accepted it, until it is made from the current files
    created_at: float = field(default_factory=monotonic)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)  # set by a request to cancel
    is_executing: bool = False  # by this process; otherwise the record is read from the database
    deadline: float = inf  # by time.monotonic()
    began_at: float = 0.0  # likewise
    claim_connection: HeldConnection = field(default_factory=HeldConnection)  # the session that claimed the operation
    number: int = 0  # of the last attempt of any process
    is_unread: bool = False  # what the last attempt did was not read from the database yet
    lost: int = 0  # number of attempts whose process or connection was lost
    session: int | None = None  # pid of the server process that migrates
    revision: str | None = None  # the one that runs now
    last_problem: Problem | None = None  # how the last attempt ended
    blocked_by: str | None = None  # what the attempt last waited for, and who held it
    # To the agreed revisions. False for several version tables, which may be at different revisions.
    is_limited: bool = True

    @contextmanager
    def executing(self, stored: StoredOperation | None, session: AnyConnection) -> Iterator[None]:
        """Used while the connection that claimed the operation is open. `stored` was read with that connection."""
        self._begin(stored)
        self.claim_connection, self.is_executing = HeldConnection(session), True
        try:
            yield
        finally:
            self.claim_connection, self.is_executing = HeldConnection(), False

    def _begin(self, stored: StoredOperation | None) -> None:
        """Resets the fields of the last execution. Attempts of other processes count, and the time since the first."""
        self.began_at = monotonic()
        self.deadline = self.began_at + self.request.deadline_seconds
        self.number, self.lost, self.is_unread = 0, 0, False
        self.session = self.revision = self.last_problem = self.blocked_by = None
        if stored is None or not stored.is_untouched or self.began_at - self.created_at >= FRESH_SECONDS:
            self.planned = None
        if stored is None:
            return
        if stored.cancelled:
            self.cancelled.set()
        self.agreed = AgreedPlan.model_validate_json(stored.agreed) if stored.agreed is not None else None
        # Journal rows with the same attempt number count as repeats of one row.
        self.number, self.is_unread = stored.attempts, not stored.is_untouched
        self.deadline -= stored.began_seconds_ago
        self.record = stored.record.model_copy(update={"attempts": stored.attempts})

    @property
    def seconds_left(self) -> float:
        """Seconds until the deadline, never negative."""
        return max(0.0, self.deadline - monotonic())

    @property
    def attempt(self) -> Attempt:
        """The current attempt, as the worker process and the journal need it."""
        return Attempt(
            operation_id=self.request.operation_id,
            number=self.number,
            actor=self.request.requested_by,
            way_in=self.origin,
            request_id=self.request.request_id,
            facts={"service": self.record.service, "beside": self.beside},
        )

    @property
    def beside(self) -> str | None:
        """What a first upgrade stands beside; see `AgreedPlan`."""
        return self.agreed.beside if self.agreed is not None else None

    @property
    def limits(self) -> dict[str, str | None] | None:
        """The revisions that may run, each with the SHA-256 of its file if a plan digest was given, otherwise None.

        The result is None if any revision may run: an upgrade without `expected_revisions` applies whatever is missing,
        also if that is more than at the time of the request.
        """
        by_plan = self.request.plan_digest is not None
        said = by_plan or self.request.expected_revisions is not None
        if self.agreed is None or not self.is_limited or (not said and self.agreed.action is Action.UPGRADE):
            return None
        return {each.id: each.sha256 if by_plan else None for each in self.agreed.revisions}

    def changed_files(self, history: History) -> Problem | None:
        """The problem if an agreed file was replaced while the operation waited for others or for a restart."""
        if self.request.plan_digest is None or self.agreed is None:
            return None
        now = history.revisions
        same = all(each.id in now and now[each.id].sha256 == each.sha256 for each in self.agreed.revisions)
        return None if same else PlanChanged(OTHER_FILES).problem

    def next_attempt(self) -> Attempt:
        """Counts one more attempt, sets the state to `running`, and returns the attempt."""
        self.number += 1
        self.session = self.revision = self.blocked_by = None
        started = self.record.started_at or datetime.now(UTC)
        self.update(state=OperationState.RUNNING, attempts=self.number, started_at=started, waiting_for=None)
        return self.attempt

    def update(self, **facts: Any) -> None:
        """Changes fields of the record. It is not stored here."""
        self.record = self.record.model_copy(update=facts)

    def cancel(self, cancelled_by: str | None) -> None:
        """Asks this process to stop. Who has asked is kept here as well: its attempt may end before that is stored."""
        if cancelled_by is not None and not self.cancelled.is_set() and not self.record.state.ended:
            self.update(cancelled_by=cancelled_by)
        self.cancelled.set()

    def set_waiting_for(self, blocked_by: str | None) -> None:
        """Sets `waiting_for` by what the server reports. A sentence that the session itself reported is not removed."""
        before = self._waiting_text(self.blocked_by)
        if blocked_by is not None:
            self.blocked_by = blocked_by
            self.update(waiting_for=self._waiting_text(blocked_by))
        elif before is not None and self.record.waiting_for == before:
            self.update(waiting_for=None)

    def _waiting_text(self, blocked_by: str | None) -> str | None:
        who = f"Revision {self.revision}" if self.revision else "The migration"
        return f"{who} {blocked_by}." if blocked_by else None

    async def sleep_or_cancel(self, seconds: float) -> None:
        """Sleeps, but not past the deadline or a cancellation."""
        with suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, self.seconds_left)):
                await self.cancelled.wait()

    def ended(
        self, state: OperationState, read_back: ReadBack | None = None, error: Problem | None = None
    ) -> Operation:
        """The final record, with what was read back. The caller stores it before any other code may read it."""
        facts: dict[str, Any] = {"state": state, "finished_at": datetime.now(UTC), "waiting_for": None, "error": error}
        facts["started_at"] = self.record.started_at or self.record.accepted_at
        if read_back is not None:
            facts |= {"current_revisions": read_back.revisions, "applied": _applied(read_back)}
        return self.record.model_copy(update=facts)


def _applied(read_back: ReadBack) -> list[AppliedRevision]:
    return [
        AppliedRevision(
            revision=row.revision or "",
            action=Action.UPGRADE if row.kind == "applied" else Action.DOWNGRADE,
            at=row.at,
            duration_ms=row.detail.get("duration_ms", 0),
            sha256=row.detail.get("sha256"),
        )
        for row in read_back.rows
        if row.kind in FINISHED
    ]


CANCELLED = Problem.of("CM-408", "It was asked to stop and stopped at a whole revision.")


def deadline_passed(execution: OperationExecution) -> Problem:
    """The problem (CM-403) of an operation whose deadline passed."""
    last = f" It last {execution.blocked_by}." if execution.blocked_by else ""
    return Problem.of(
        "CM-403",
        f"The operation was not done within {execution.request.deadline_seconds} s; it was ended, and the database is"
        f" at a whole revision.{last}",
    )


RESOURCE_SQLSTATES = {"53100": "disk space", "53200": "memory"}
_COPIED_FIELDS = {"service", "revision", "sqlstate", "server_message"}


def specific_problem(execution: OperationExecution, problem: Problem) -> Problem:
    """Replaces the problem of a revision that failed for lack of a lock or of resources by CM-404 or CM-532."""
    if problem.sqlstate == LOCK_NOT_AVAILABLE:
        return _lock_timeout(execution, problem)
    if problem.sqlstate in RESOURCE_SQLSTATES and problem.revision is not None:
        return _insufficient_resources(problem, RESOURCE_SQLSTATES[problem.sqlstate])
    return problem


def _insufficient_resources(problem: Problem, what: str) -> Problem:
    return Problem.of(
        "CM-532",
        f"The server had no {what} left for revision {problem.revision}; its transaction was undone.",
        next_step=f"Make room: the server needs more {what}. Then migrate again.",
        retryable=False,
        **problem.model_dump(include=_COPIED_FIELDS),
    )


def _lock_timeout(execution: OperationExecution, problem: Problem) -> Problem:
    """The problem of a revision that got no lock before its time limits passed."""
    waited = execution.blocked_by or "waits for a lock that others hold"
    detail = f"Revision {problem.revision} {waited}; its transaction was undone."
    return Problem.of("CM-404", detail, **problem.model_dump(include=_COPIED_FIELDS))
