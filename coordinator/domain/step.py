"""A step is one service's part of a run. `MOVES` is the table of its states."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from coordinator.errors import IllegalMove
from migration_sidecar.contract.messages import AppliedRevision, Problem


class StepState(StrEnum):
    """Where a step is; `MOVES` says how it may go on."""

    PENDING = "pending"  # planned; nothing sent
    RUNNING = "running"  # the service has the order, or may have it
    SUCCEEDED = "succeeded"  # its database is at the target or beyond it, and this run applied something
    UNCHANGED = "unchanged"  # the same, and this run applied nothing
    FAILED = "failed"  # it stopped early; the error says where
    SKIPPED = "skipped"  # never started, because of what happened elsewhere
    CANCELLED = "cancelled"  # cancelled before or at a whole revision
    REVERTED = "reverted"  # it had succeeded, and this run took its revisions back
    NEEDS_ATTENTION = "needs_attention"  # only a person can tell what to do

    @property
    def ended(self) -> bool:
        """Whether nothing more is done for this step in the order of the run."""
        return self not in (StepState.PENDING, StepState.RUNNING)

    @property
    def at_target(self) -> bool:
        """Whether the database is at the target of the step or beyond it."""
        return self in (StepState.SUCCEEDED, StepState.UNCHANGED)


MOVES: dict[StepState, frozenset[StepState]] = {
    StepState.PENDING: frozenset(
        {StepState.RUNNING, StepState.UNCHANGED, StepState.SKIPPED, StepState.CANCELLED},
    ),
    StepState.RUNNING: frozenset(
        {
            StepState.PENDING,  # paused at a whole revision; it goes on with what is left
            StepState.SUCCEEDED,
            StepState.UNCHANGED,
            StepState.FAILED,
            StepState.CANCELLED,
            StepState.NEEDS_ATTENTION,
        },
    ),
    # Compensation takes the revisions back, or finds that it cannot.
    StepState.SUCCEEDED: frozenset({StepState.REVERTED, StepState.NEEDS_ATTENTION}),
    StepState.UNCHANGED: frozenset(),
    # A retry of the run plans these again. Compensation takes back what a failed step had applied.
    StepState.FAILED: frozenset({StepState.PENDING, StepState.REVERTED, StepState.NEEDS_ATTENTION}),
    StepState.SKIPPED: frozenset({StepState.PENDING}),
    StepState.NEEDS_ATTENTION: frozenset({StepState.PENDING}),
    # Somebody stopped it at its service while another step failed: what it had applied is taken back, too.
    StepState.CANCELLED: frozenset({StepState.REVERTED, StepState.NEEDS_ATTENTION}),
    StepState.REVERTED: frozenset(),
}


class Undo(BaseModel):
    """What compensation did with one step: the operation that takes this run's revisions back, and how it ended."""

    model_config = ConfigDict(frozen=True)

    operation_id: str
    to_revisions: list[str]  # where the database was before this run
    plan_digest: str | None = None
    reverted: list[AppliedRevision] = []
    ended: bool = False
    error: Problem | None = None  # why it could not be taken back, or why that failed
    waiting_for: str | None = None


class Step(BaseModel):
    """One service's part of a run, as the run record holds it. It is frozen: `moved` returns a new step."""

    model_config = ConfigDict(frozen=True)

    service: str
    database: str
    state: StepState = StepState.PENDING
    target: str = "head"
    # The tables in a database without a version row are other people's. Left out while it is false.
    beside_other_tables: bool = Field(default=False, exclude_if=lambda said: not said)
    after: list[str] = []  # services of this run whose steps must have reached their target before
    from_revisions: list[str] = []
    to_revisions: list[str] = []  # where it is meant to be; once ended, where the database is, empty if unknown
    planned: list[str] = []  # revision ids, in the order they would be applied
    plan_digest: str | None = None
    applied: list[AppliedRevision] = []
    # By earlier operations of this run, before a pause or a retry; `applied` begins with them.
    applied_before: list[AppliedRevision] = Field(default=[], exclude_if=lambda applied: not applied)
    operation_id: str | None = None
    attempts: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration_ms: int | None = None
    operation_ms: int | None = None  # the part of the duration that the service itself reports
    waiting_for: str | None = None
    # One sentence about an end that is not as planned and no error. Left out while it is None.
    remark: str | None = Field(default=None, exclude_if=lambda remark: remark is None)
    error: Problem | None = None
    # The round of the run in which it was planned; its audit events name it.
    round: int = Field(default=1, exclude_if=lambda number: number == 1)
    undo: Undo | None = Field(default=None, exclude_if=lambda undo: undo is None)

    @property
    def has_nothing_to_do(self) -> bool:
        """Whether the plan found its database at the target."""
        return not self.planned and sorted(self.from_revisions) == sorted(self.to_revisions)

    def operation_ids(self, request_id: str) -> list[str]:
        """All that it had so far, in their order."""
        last = self.undo.operation_id if self.undo is not None else self.operation_id
        number = 0 if last is None else int(last.rsplit(".", 1)[-1])
        return [f"{request_id}.{self.service}.{n}" for n in range(1, number + 1)]

    def next_operation_id(self, request_id: str) -> str:
        """`<request_id>.<service>.<n>`: n counts the operations of this step, those that take back included."""
        return f"{request_id}.{self.service}.{len(self.operation_ids(request_id)) + 1}"

    def moved(self, state: StepState, **facts: Any) -> Self:
        """The step in another state, with the given fields changed; raises IllegalMove (CM-902)."""
        if state not in MOVES[self.state]:
            raise IllegalMove(f"The step of {self.service}", self.state, state)
        return self.model_copy(update={"state": state, **facts})

    def skipped(self, now: datetime, error: Problem | None = None) -> Self:
        """The step that is never started: its database stays where it is, and `planned` keeps what was not done."""
        return self.moved(StepState.SKIPPED, finished_at=now, error=error, to_revisions=self.from_revisions)

    def planned_again(self, round_number: int) -> Self:
        """The step as it is before a new plan: what this run has applied stays, the error and the end do not."""
        kept = {"applied_before": self.applied, "error": None, "remark": None, "waiting_for": None}
        return self.moved(
            StepState.PENDING, finished_at=None, duration_ms=None, started_at=None, round=round_number, **kept
        )
