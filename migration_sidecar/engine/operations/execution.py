"""One operation on its way: its record grows, its attempts are numbered, its patience is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from migration_sidecar.alembic_environment.agreed_revisions import Agreed
from migration_sidecar.contract.messages import Operation, OperationRequest, OperationState, Problem
from migration_sidecar.database.pool import Kept
from migration_sidecar.engine.operations.verdict import LOCK_NOT_AVAILABLE, Found
from migration_sidecar.protocol.attempt import Attempt
from migration_sidecar.protocol.origin import Origin

Note = Callable[[Operation], None]


class Course:
    """An operation under way; `cancelled` is set by whoever wants it ended, at any moment."""

    def __init__(
        self,
        request: OperationRequest,
        record: Operation,
        way_in: Origin,
        note: Note,
        cancelled: asyncio.Event,
        agreed: Agreed | None = None,
    ) -> None:
        self.agreed = agreed  # None where an older release accepted it, until the files of now were read
        self.request, self.record, self.way_in, self.note = request, record, way_in, note
        self.cancelled = cancelled
        self.kept = Kept()  # the session that claimed the operation
        self.just_read: Found | None = None  # when it was accepted, a moment ago, and nobody attempted it since
        self.deadline = monotonic() + request.deadline_seconds
        self.began = monotonic()
        self.number = 0
        self.lost = 0
        self.session: int | None = None  # the server process that migrates
        self.revision: str | None = None  # the one under way
        self.gave_way_to: Problem | None = None  # how the last attempt ended
        # The revisions that may be applied or reverted, and the SHA-256 of their files, where somebody said so.
        self.limits: dict[str, str | None] | None = None
        self.in_the_way: str | None = None  # what the attempt was last seen waiting for, and who held it

    @property
    def seconds_left(self) -> float:
        return max(0.0, self.deadline - monotonic())

    @property
    def attempt(self) -> Attempt:
        return Attempt(
            operation_id=self.request.operation_id,
            number=self.number,
            actor=self.request.requested_by,
            way_in=self.way_in,
            request_id=self.request.request_id,
            facts={"service": self.record.service},
        )

    def next_attempt(self) -> Attempt:
        self.number += 1
        self.session = self.revision = self.in_the_way = None
        started = self.record.started_at or datetime.now(UTC)
        self.update(state=OperationState.RUNNING, attempts=self.number, started_at=started, waiting_for=None)
        return self.attempt

    def went_on_from(self, number: int, began_seconds_ago: float) -> None:
        """Another process made that many attempts; a number used twice would be taken for a repeat."""
        self.number = number
        self.deadline -= began_seconds_ago
        self.record = self.record.model_copy(update={"attempts": number})

    def update(self, **facts: Any) -> None:
        self.record = self.record.model_copy(update=facts)
        self.note(self.record)

    def waits(self, in_the_way: str | None) -> None:
        """What the server says the migration's session waits for; what the session itself tells is kept."""
        before = self._waiting(self.in_the_way)
        if in_the_way is not None:
            self.in_the_way = in_the_way
            self.update(waiting_for=self._waiting(in_the_way))
        elif before is not None and self.record.waiting_for == before:
            self.update(waiting_for=None)

    def _waiting(self, in_the_way: str | None) -> str | None:
        who = f"Revision {self.revision}" if self.revision else "The migration"
        return f"{who} {in_the_way}." if in_the_way else None

    async def rest(self, seconds: float) -> None:
        """Ends early when there is nothing left to wait for."""
        with suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, self.seconds_left)):
                await self.cancelled.wait()

    def ended(self, state: OperationState, **facts: Any) -> Operation:
        """The caller stores it before anybody may see it, so it is not noted here."""
        started = self.record.started_at or self.record.accepted_at
        return self.record.model_copy(
            update={
                "state": state,
                "started_at": started,
                "finished_at": datetime.now(UTC),
                "waiting_for": None,
                **facts,
            }
        )


CANCELLED = Problem.of("CM-408", "It was asked to stop and stopped at a whole revision.")


def too_late(run: Course) -> Problem:
    last = f" It last {run.in_the_way}." if run.in_the_way else ""
    return Problem.of(
        "CM-403",
        f"The operation was not done within {run.request.deadline_seconds} s; it was ended, and the database is at a"
        f" whole revision.{last}",
    )


RAN_OUT = {"53100": "disk space", "53200": "memory"}
_KEPT = {"service", "revision", "sqlstate", "server_message"}


def in_its_own_words(run: Course, problem: Problem) -> Problem:
    """What stopped a revision without being its fault has a code and a next step of its own."""
    if problem.sqlstate == LOCK_NOT_AVAILABLE:
        return _in_use(run, problem)
    if problem.sqlstate in RAN_OUT and problem.revision is not None:
        return _out_of_room(problem, RAN_OUT[problem.sqlstate])
    return problem


def _out_of_room(problem: Problem, what: str) -> Problem:
    return Problem.of(
        "CM-532",
        f"The server had no {what} left for revision {problem.revision}; the database is at the revision before it.",
        next_step=f"Make room: the server needs more {what}. Then migrate again.",
        retryable=False,
        **problem.model_dump(include=_KEPT),
    )


def _in_use(run: Course, problem: Problem) -> Problem:
    """A revision that gave way to others until nobody wanted to wait any longer."""
    waited = run.in_the_way or "waits for a lock that others hold"
    detail = f"Revision {problem.revision} {waited}; the database is at the revision before it."
    return Problem.of("CM-404", detail, **problem.model_dump(include=_KEPT))
