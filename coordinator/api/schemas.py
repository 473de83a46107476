"""Query parameters of the routes, and the documents in their OpenAPI description.

`domain.request` parses the bodies and the domain writes the answers; tests compare both with these models.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from coordinator.domain.commands.command import PlanDigest, Verb
from coordinator.domain.dead_letters.letter import BecameRun
from coordinator.domain.outbox import OutboxEntry
from coordinator.domain.request import Percent
from coordinator.domain.run import Run
from coordinator.domain.run_state import RunState
from coordinator.domain.windows.request_times import RFC_3339
from migration_sidecar.contract.messages import (
    AuditBacklog,
    DatabaseState,
    LockHolder,
    MigrationPlan,
    Operation,
    PlainText,
    Problem,
)
from migration_sidecar.contract.query_parameters import QueryParameters, TrueOrFalse, WholeNumber
from migration_sidecar.contract.request_id import REQUEST_ID
from migration_sidecar.contract.target import RequestableTarget

PAGE = 50
MomentText = Annotated[str, Field(pattern=f"^{RFC_3339.pattern}$")]
# Less than the 30 s after which the command line gives a call up.
LONGEST_WAIT_SECONDS = 25


class RunsQuery(QueryParameters):
    """The parameters of GET /migrations."""

    state: RunState | None = None
    service: str | None = None
    limit: WholeNumber = Field(default=PAGE, ge=1, le=200)
    cursor: str | None = None  # the next_cursor of a page


class RunQuery(QueryParameters):
    """The parameters of GET /migrations/{request_id}; with `wait_seconds` it is a long poll."""

    wait_seconds: WholeNumber = Field(default=0, ge=0, le=LONGEST_WAIT_SECONDS)
    after_version: WholeNumber = Field(default=0, ge=0, le=10**9)


class LettersQuery(QueryParameters):
    """The parameters of GET /dead-letters."""

    limit: WholeNumber = Field(default=PAGE, ge=1, le=100)
    cursor: str | None = None  # the next_cursor of a page


class PlanQuery(QueryParameters):
    """The parameters of POST /plans; with `sql` the plans contain the SQL of each revision."""

    sql: TrueOrFalse = False


class Document(BaseModel):
    """Base class of the documents: unknown keys are an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class MigrationRequestBody(Document):
    """The body of a request. Only `services` is required; null means that a field is absent."""

    request_id: Annotated[str, Field(pattern=f"^{REQUEST_ID.pattern}$")] | None = None
    services: (
        Literal["all"]
        | Annotated[list[PlainText], Field(min_length=1, max_length=200, json_schema_extra={"uniqueItems": True})]
    )
    action: Literal["upgrade", "downgrade"] | None = None
    target: Literal["head", "heads"] | Annotated[dict[str, RequestableTarget], Field(min_length=1)] | None = None
    on_failure: Literal["stop", "continue", "compensate"] | None = None
    max_failures: Annotated[int, Field(ge=1, le=200)] | Percent | None = None
    max_parallel: Annotated[int, Field(ge=1, le=16)] | None = None
    first: list[PlainText] | None = None
    pause_between: Annotated[int, Field(ge=1, le=86_400)] | Literal["resume"] | None = None
    approval: Literal["none", "required"] | None = None
    beside_other_tables: list[PlainText] | None = None
    dry_run: bool | None = None
    not_before: MomentText | None = None
    deadline: MomentText | None = None
    requested_by: Annotated[PlainText, Field(min_length=1, max_length=200)] | None = None
    reason: Annotated[PlainText, Field(max_length=2000)] | None = None


class CommandDocument(Document):
    """The body of a command. `approve` needs `plan_digest`, and only `pause` has `now`; the address names the verb."""

    reason: Annotated[PlainText, Field(min_length=1, max_length=2000)]
    requested_by: Annotated[PlainText, Field(min_length=1, max_length=200)] | None = None
    command_id: Annotated[str, Field(pattern=f"^{REQUEST_ID.pattern}$")] | None = None
    plan_digest: PlanDigest | None = None
    now: bool | None = None


class RunRecord(Run):
    """A run record as the API answers it. `possible` has the verbs that would change something now."""

    model_config = ConfigDict(extra="forbid")

    audit_state: Literal["recorded", "pending"] = Field(alias="audit")  # `audit` is a property of every run
    outbox: list[OutboxEntry] = Field(default=[], exclude=True)
    possible_verbs: list[Verb] = Field(default=[], alias="possible")  # `possible` is a property of every run, too
    is_signed: bool | None = None  # whether the stored record bears the coordinator's signature, where records do


class RunPage(Document):
    """One page of runs, the newest first. `damaged` has the ids of records that cannot be read."""

    runs: list[RunRecord]
    next_cursor: str | None
    damaged: list[str] = []


class ResubmissionBody(Document):
    """The body for resubmitting a dead letter; with `request_id` the run gets this id instead of the event's own."""

    request_id: Annotated[str, Field(pattern=f"^{REQUEST_ID.pattern}$")] | None = None


class DeadLetterSummary(Document):
    """A dead letter without what is in it. `run` is what somebody made of it, or what it became by itself at last."""

    id: UUID
    request_id: str | None
    event_id: str | None
    source: str | None
    published_by: str | None
    first_at: datetime
    last_at: datetime
    times: int
    reason: Problem
    body_bytes: int
    body_sha256: str
    is_whole: bool
    run: BecameRun | None
    is_signed: bool | None = None  # whether what is kept bears the coordinator's signature, where documents do


class DeadLetterDocument(DeadLetterSummary):
    """A dead letter with what is kept of its event, as a text."""

    event: str


class DeadLetterPage(Document):
    """One page of dead letters, the newest first, and what is told of those that are not there."""

    dead_letters: list[DeadLetterSummary]
    next_cursor: str | None
    damaged: list[str]  # ids of letters that cannot be read
    dropped: int  # how many made room for newer ones
    not_kept: int  # how many came in floods and were not kept


class FleetPlanDocument(Document):
    """The plans of the services of a request, and the obstacles that would prevent its start."""

    digest: str
    services: list[MigrationPlan]
    obstacles: list[Problem]


class AuditAvailability(Document):
    """Whether the audit can be written, since when it cannot, and how many events wait for it."""

    state: Literal["written", "away"]
    events_waiting: int
    since: datetime | None = None
    reason: str | None = None


class ServiceDocument(Document):
    """One service of the fleet. The fields of its own status are there only if it could be reached."""

    service: str
    database: str | None
    reachable: bool
    state: DatabaseState | Literal["no_database"]
    reason: str | None = None  # why it has no database
    former_names: list[str] = []
    former_databases: list[str] = []
    behind: int | None = None  # how many revisions; null if unknown
    current_revisions: list[str] = []
    head_revisions: list[str] = []
    pending: list[str] = []
    lock_holder: LockHolder | None = None
    last_outcome: Operation | None = None
    audit_backlog: AuditBacklog | None = None
    error: Problem | None = None


class FormerServiceDocument(Document):
    """A service that has left the fleet; from `until` on it sends no events."""

    service: str
    left: str  # a day, or a moment
    until: datetime
    reason: str


class FleetDocument(Document):
    """The fleet: its services, the availability of the audit, and former services."""

    fleet: str
    services: list[ServiceDocument]
    audit: AuditAvailability
    former_services: list[FormerServiceDocument] = []


class Readiness(Document):
    """The answer of a ready coordinator. Neither an unavailable audit nor damaged documents make it unready."""

    status: Literal["ready"]
    audit: AuditAvailability
    damaged: list[str] = []  # documents in the state store that cannot be read
