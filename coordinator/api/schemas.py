"""What the coordinator's routes take and give: query parameters as they are read, documents as OpenAPI shows them.

Bodies are read by `domain.request`, and answers written by the domain; that they are as said here, tests hold.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from coordinator.domain.outbox import OutboxEntry
from coordinator.domain.run import Run
from coordinator.domain.run_state import RunState
from migration_sidecar.contract.messages import (
    AuditBacklog,
    DatabaseState,
    LockHolder,
    MigrationPlan,
    Operation,
    PlainText,
    Problem,
    Revision,
)
from migration_sidecar.contract.query_parameters import QueryParameters, TrueOrFalse, WholeNumber
from migration_sidecar.contract.request_id import REQUEST_ID

PAGE = 50
# Below the 30 s after which Dapr's resiliency gives a call up.
LONGEST_WAIT_SECONDS = 25


class RunsQuery(QueryParameters):
    state: RunState | None = None
    service: str | None = None
    limit: WholeNumber = Field(default=PAGE, ge=1, le=200)
    cursor: str | None = None  # the next_cursor of a page


class RunQuery(QueryParameters):
    wait_seconds: WholeNumber = Field(default=0, ge=0, le=LONGEST_WAIT_SECONDS)
    after_version: WholeNumber = Field(default=0, ge=0, le=10**9)


class PlanQuery(QueryParameters):
    sql: TrueOrFalse = False


class Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MigrationRequestBody(Document):
    """Only `services` must be given; null means that a field is absent."""

    request_id: Annotated[str, Field(pattern=f"^{REQUEST_ID.pattern}$")] | None = None
    services: (
        Literal["all"]
        | Annotated[list[PlainText], Field(min_length=1, max_length=200, json_schema_extra={"uniqueItems": True})]
    )
    action: Literal["upgrade"] | None = None
    target: Literal["head", "heads"] | Annotated[dict[str, Revision], Field(min_length=1)] | None = None
    on_failure: Literal["stop"] | None = None
    max_parallel: Annotated[int, Field(ge=1, le=16)] | None = None
    approval: Literal["none"] | None = None
    dry_run: bool | None = None
    not_before: None = None
    deadline: None = None
    requested_by: Annotated[PlainText, Field(min_length=1, max_length=200)] | None = None
    reason: Annotated[PlainText, Field(max_length=2000)] | None = None


class RunRecord(Run):
    """A run as API, CLI and callers see it."""

    model_config = ConfigDict(extra="forbid")

    audit_state: Literal["recorded", "pending"] = Field(alias="audit")  # `audit` is a property of every run
    outbox: list[OutboxEntry] = Field(default=[], exclude=True)


class RunPage(Document):
    """Newest first; `damaged` names ids whose records cannot be read, where there are any."""

    runs: list[RunRecord]
    next_cursor: str | None
    damaged: list[str] = []


class FleetPlanDocument(Document):
    digest: str
    services: list[MigrationPlan]
    obstacles: list[Problem]


class AuditAvailability(Document):
    """Whether the audit can be written, since when not, and how many events wait for it."""

    state: Literal["written", "away"]
    events_waiting: int
    since: datetime | None = None
    reason: str | None = None


class ServiceDocument(Document):
    """One service; what its own status says is there only where it could be reached."""

    service: str
    database: str | None
    reachable: bool
    state: DatabaseState | Literal["no_database"]
    reason: str | None = None  # why it has no database
    former_names: list[str] = []
    former_databases: list[str] = []
    behind: int | None = None  # how many revisions, where anybody can tell
    current_revisions: list[str] = []
    head_revisions: list[str] = []
    pending: list[str] = []
    lock_holder: LockHolder | None = None
    last_outcome: Operation | None = None
    audit_backlog: AuditBacklog | None = None
    error: Problem | None = None


class FormerServiceDocument(Document):
    service: str
    left: str  # a day, or a moment
    until: datetime
    reason: str


class FleetDocument(Document):
    fleet: str
    services: list[ServiceDocument]
    audit: AuditAvailability
    former_services: list[FormerServiceDocument] = []


class Readiness(Document):
    """What is told besides keeps nobody from asking."""

    status: Literal["ready"]
    audit: AuditAvailability
    damaged: list[str] = []  # documents in the state store that cannot be read
