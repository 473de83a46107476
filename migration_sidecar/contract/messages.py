"""The wire contract between a service and whoever asks it to migrate; the only room the coordinator may import."""

from __future__ import annotations

import json
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from migration_sidecar.contract.problem_catalogue.catalogue import PROBLEM_KINDS
from migration_sidecar.contract.request_id import REQUEST_ID
from migration_sidecar.contract.strict_json import CONTROL_CHARACTERS
from migration_sidecar.contract.target import Revision, Target, is_end

MAX_REVISIONS = 10_000  # read from somebody else: far above what anybody has, far below what fills a memory

OperationId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,160}$")]
# PostgreSQL text holds no NUL, and nobody's control characters belong into a journal or a terminal.
PlainText = Annotated[str, StringConstraints(pattern=f"^[^{CONTROL_CHARACTERS}]*$")]


class Message(BaseModel):
    """Frozen; an unknown field is refused, so that a misspelt one is never silently ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Problem(Message):
    """RFC 9457 problem: what happened, why, and what to do; never a traceback, SQL literal, URL or password."""

    code: str  # CM-nnn, see docs/errors.md
    title: str
    detail: str
    next_step: str
    retryable: bool = False
    request_id: str | None = None
    service: str | None = None
    revision: str | None = None
    sqlstate: str | None = None
    server_message: str | None = None  # what PostgreSQL, a driver or Python said; for people, never for the audit

    @classmethod
    def of(cls, code: str, detail: str, **facts: Any) -> Self:
        """With what the catalogue says of the code. Of the worker's `facts`, what is None or no field is left out."""
        kind = PROBLEM_KINDS[code]
        known = {name: value for name, value in facts.items() if name in cls.model_fields and value is not None}
        general = {"title": kind.title, "next_step": kind.next_step, "retryable": kind.retryable}
        return cls.model_validate({**general, **known, "code": code, "detail": detail})

    @property
    def full_detail(self) -> str:
        """For people: our own sentence, and after it what the server said."""
        return f"{self.detail} It said: {self.server_message}." if self.server_message else self.detail


class Action(StrEnum):
    """What an operation does."""

    UPGRADE = "upgrade"
    DOWNGRADE = "downgrade"
    ADOPT = "adopt"  # only in a record: it is for a person at the database


RequestableAction = Literal[Action.UPGRADE, Action.DOWNGRADE]


class DatabaseState(StrEnum):
    """The state of a database, compared with the revision files of this image."""

    AT_HEAD = "at_head"
    BEHIND = "behind"
    AHEAD = "ahead"  # at a revision this image does not know, while it knows that one's history is its own
    FOREIGN = "foreign"  # at a revision of somebody else's history
    EMPTY = "empty"  # no version table and no tables
    UNMANAGED = "unmanaged"  # tables, but no version row
    MIGRATING = "migrating"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"  # no history can be read that would tell what it is, or env.py did not name its database


class LockHolder(Message):
    """Who holds the migration lock of this database."""

    pid: int
    application: str
    since: datetime | None = None


class AppliedRevision(Message):
    """One revision that took effect, as the database's own journal has it."""

    revision: Revision
    action: Action
    at: datetime
    duration_ms: int
    sha256: str | None = None


class OperationState(StrEnum):
    """The state of an operation. The last four are final."""

    ACCEPTED = "accepted"  # stored; nothing has been touched
    RUNNING = "running"  # an attempt is under way
    SUCCEEDED = "succeeded"  # the database was read back and is at the target
    FAILED = "failed"  # it stopped at a whole revision; the error says why
    CANCELLED = "cancelled"  # it was asked to stop and stopped at a whole revision
    NEEDS_ATTENTION = "needs_attention"  # only a person can tell what to do; the error says what exists

    @property
    def ended(self) -> bool:
        """Whether the state is final."""
        return self not in (OperationState.ACCEPTED, OperationState.RUNNING)


class OperationRequest(Message):
    """Body of POST /migrations/operations; repeating it with the same id is answered, never carried out twice."""

    operation_id: OperationId
    action: RequestableAction = Action.UPGRADE
    target: Target
    expected_revisions: list[Revision] | None = Field(default=None, max_length=MAX_REVISIONS)  # refuse elsewhere
    plan_digest: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    beside_other_tables: bool = Field(default=False, strict=True)  # where no version row says whose they are (CM-552)
    deadline_seconds: int = Field(default=3600, ge=1, le=86_400)
    requested_by: PlainText = Field(default="unknown", max_length=200)
    request_id: str | None = Field(default=None, pattern=f"^{REQUEST_ID.pattern}$")

    @property
    def requires_operator(self) -> bool:
        """Taking everything down, or one branch, is for a person at the database, and so is a part of a branch."""
        one_branch = "@" in self.target and (self.action != Action.UPGRADE or not is_end(self.target))
        return self.target == "base" or one_branch

    @property
    def digest(self) -> str:
        """The same for the same body, however it was spelt; stored, to tell a repeat from another body (CM-601)."""
        return sha256(json.dumps(self.model_dump(mode="json", exclude=self.newer), sort_keys=True).encode()).hexdigest()

    @property
    def newer(self) -> set[str]:
        """Fields that release 0.2 refuses, unless they are used: left out of what it may read."""
        return set() if self.beside_other_tables else {"beside_other_tables"}


class Operation(Message):
    """What became of an operation; `current_revisions` is read from the database, never inferred."""

    operation_id: OperationId
    service: str
    database: str
    action: Action
    target: str
    state: OperationState
    attempts: int = 0
    from_revisions: list[str] = Field(default=[], max_length=MAX_REVISIONS)
    current_revisions: list[str] = Field(default=[], max_length=MAX_REVISIONS)
    applied: list[AppliedRevision] = Field(default=[], max_length=MAX_REVISIONS)
    waiting_for: str | None = None  # one sentence while something is in the way
    error: Problem | None = None
    accepted_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    cancelled_by: str | None = Field(default=None, max_length=64)  # the caller, proven by a signature


class AuditBacklog(Message):
    """Events that wait at the service because the audit does not take them; the oldest is from `since`."""

    events: int
    since: datetime


class ServiceStatus(Message):
    """Answer of GET /migrations, read by SQL: a broken revision file never breaks it."""

    service: str
    database: str
    state: DatabaseState
    current_revisions: list[str] = Field(default=[], max_length=MAX_REVISIONS)
    head_revisions: list[str] = Field(default=[], max_length=MAX_REVISIONS)
    pending: list[str] = Field(default=[], max_length=MAX_REVISIONS)  # revision ids in the order they would be applied
    lock_holder: LockHolder | None = None
    last_outcome: Operation | None = None
    error: Problem | None = None  # why the state or the heads could not be told
    audit_backlog: AuditBacklog | None = None  # absent while the audit has everything it should have


class PlannedRevision(Message):
    """One revision that would be applied or reverted."""

    id: Revision
    message: str
    sha256: str
    transactional: bool
    reversible: bool
    destructive: bool
    sql: str | None = None  # only when asked for with ?sql=true, and only where Alembic can render it
    no_sql: str | None = None  # then the reason why there is none: which line needs a connection


class MigrationPlan(Message):
    """Answer of GET /migrations/plan: what would happen, and everything that stands in the way."""

    service: str
    database: str
    action: Action
    target: str
    from_revisions: list[str] = Field(alias="from", max_length=MAX_REVISIONS)
    to_revisions: list[str] = Field(alias="to", max_length=MAX_REVISIONS)
    digest: str  # SHA-256 over service, from, to, and the SHA-256 of each revision file in order
    revisions: list[PlannedRevision] = Field(max_length=MAX_REVISIONS)
    # Pre-flight findings: any obstacle means, do not start; a warning is waited for, such as a lock somebody holds now.
    obstacles: list[Problem] = Field(default=[], max_length=MAX_REVISIONS)
    warnings: list[Problem] = Field(default=[], max_length=MAX_REVISIONS)


class AuditEvent(Message):
    """One line for the audit; `event_id` is derived from what it reports, so that a repeat is recognised."""

    event_id: UUID
    event_type: str = Field(pattern=r"^[a-z]+(\.[a-z_]+)+$", max_length=64)
    occurred_at: datetime
    source: str = Field(max_length=200)
    request_id: str | None = Field(default=None, max_length=128)
    service: str | None = Field(default=None, max_length=128)
    database: str | None = Field(default=None, max_length=128)
    actor: str | None = Field(default=None, max_length=200)
    from_revision: str | None = Field(default=None, max_length=500)
    to_revision: str | None = Field(default=None, max_length=500)
    outcome: str | None = Field(default=None, max_length=64)
    duration_ms: int | None = None
    detail: dict[str, Any] = {}


class RecordedAuditEvent(AuditEvent):
    """An audit event as it stands in the store."""

    seq: int
    recorded_at: datetime


class AuditPage(Message):
    """One page of GET /audit/events, ordered by seq; pass `next_cursor` on to read further."""

    events: list[RecordedAuditEvent]
    next_cursor: str | None = None
