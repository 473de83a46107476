"""One operation on its way: its record grows, its attempts are numbered, its patience is bounded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from migration_sidecar.child.journal import Attempt
from migration_sidecar.messages import Operation, OperationRequest, OperationState, Problem

PATIENCE_SECONDS = 600.0  # for table locks and free connections

Note = Callable[[Operation], None]


class Course:
    """An operation under way: its record grows, its attempts are numbered, its patience is bounded."""

    def __init__(self, request: OperationRequest, record: Operation, way_in: str, note: Note, deadline: float) -> None:
        self.request, self.record, self.way_in, self.note = request, record, way_in, note
        self.deadline = deadline
        self.patience_ends = min(deadline, monotonic() + PATIENCE_SECONDS)
        self.number = 0
        self.lost = 0

    @property
    def attempt(self) -> Attempt:
        return Attempt(
            operation_id=self.request.operation_id,
            number=self.number,
            actor=self.request.requested_by,
            way_in=self.way_in,
            request_id=self.request.request_id,
        )

    def next_attempt(self) -> Attempt:
        self.number += 1
        started = self.record.started_at or datetime.now(UTC)
        self.update(state=OperationState.RUNNING, attempts=self.number, started_at=started, waiting_for=None)
        return self.attempt

    def went_on_from(self, number: int) -> None:
        """Another process made that many attempts; a number used twice would be taken for a repeat."""
        self.number = number
        self.record = self.record.model_copy(update={"attempts": number})

    def update(self, **facts: Any) -> None:
        self.record = self.record.model_copy(update=facts)
        self.note(self.record)

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


CANCELLED = Problem(
    code="CM-408",
    title="The operation was cancelled",
    detail="It was asked to stop and stopped at a whole revision.",
    next_step="Send a new request when it should go on.",
)


def too_late(seconds: int) -> Problem:
    return Problem(
        code="CM-403",
        title="The deadline passed",
        detail=f"The operation was not done within {seconds} s; it was ended, and the database is at a whole revision.",
        next_step="Look at what the revision waits for, or give it a longer deadline.",
    )
