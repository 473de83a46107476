"""The coordinator's documents as the command reads them: unknown fields are ignored, missing fields get a default."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from coordinator.client.errors import CannotReach
from coordinator.domain.run_state import RunState
from coordinator.domain.step import StepState

Moment = Annotated[datetime, AfterValidator(lambda at: at if at.tzinfo else at.replace(tzinfo=UTC))]


class View(BaseModel):
    """Base class of all views. Fields have the names of the JSON keys, or an alias; null means the default."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    @field_validator("*", mode="before")
    @classmethod
    def null_means_default(cls, value: Any, info: Any) -> Any:
        """Called by pydantic for each field."""
        return cls.model_fields[info.field_name].get_default(call_default_factory=True) if value is None else value


class ProblemView(View):
    """A problem document, such as a step's error or an obstacle."""

    code: str = ""
    title: str = ""
    detail: str = ""
    next_step: str = ""
    service: str = ""
    revision: str = ""
    sqlstate: str = ""
    server_message: str = ""  # what PostgreSQL, a driver or Python said; never in a report or the audit


class Timed(View):
    """A document with a state and two times: a run or a step."""

    ended_states: ClassVar[frozenset[str]] = frozenset(state for state in RunState if state.terminal)
    state: str = ""
    started_at: Moment | None = None
    finished_at: Moment | None = None

    @property
    def ended(self) -> bool:
        """Whether the state is final."""
        return self.state in self.ended_states

    @property
    def begun_at(self) -> datetime | None:
        """When the elapsed time begins: at the start of a step, at the acceptance of a run."""
        return self.started_at

    def elapsed_seconds(self, now: datetime) -> float | None:
        """Seconds from the start to the end, or to `now`; None if unknown, never negative if clocks differ."""
        until = self.finished_at or (None if self.ended else now)
        if self.begun_at is None or until is None:
            return None
        return max(0.0, (until - self.begun_at).total_seconds())


class WaitingView(View):
    """Why a run is held, since when, and what happens next."""

    kind: str = ""
    since: Moment | None = None
    until: Moment | None = None
    next: str = ""


class ApprovalView(View):
    """The approval of a plan."""

    state: str = ""
    because: list[str] = []
    by: str = ""


class UndoView(View):
    """What compensation did with a step."""

    error: ProblemView | None = None


class StepView(Timed):
    """One step of a run record."""

    ended_states: ClassVar[frozenset[str]] = frozenset(state for state in StepState if state.ended)
    service: str = ""
    database: str = ""
    state: str = "pending"
    target: str = ""
    from_revisions: list[str] = []
    to_revisions: list[str] = []
    planned: list[Any] = []
    applied: list[Any] = []
    attempts: int = 0
    duration_ms: float | None = None
    waiting_for: str = ""
    remark: str = ""  # a note on an end that was not planned
    error: ProblemView | None = None
    undo: UndoView | None = None

    @property
    def seconds(self) -> float | None:
        """The duration of the step; None if unknown."""
        return None if self.duration_ms is None else self.duration_ms / 1000


class RunView(Timed):
    """A run record, as GET /migrations/ID answers it."""

    request_id: str = ""
    request: dict[str, Any] = {}
    plan_digest: str = ""
    accepted_at: Moment | None = None
    version: int = 0
    steps: Sequence[StepView] = []
    obstacles: list[ProblemView] = []
    waiting_for: str = ""
    waiting: WaitingView | None = None
    approval: ApprovalView | None = None
    possible: list[str] = []
    audit: str = ""
    error: ProblemView | None = None

    @property
    def owes_the_audit(self) -> bool:
        """Whether the audit does not have all events of this run yet."""
        return self.audit == "pending"

    @property
    def begun_at(self) -> datetime | None:
        """The time of acceptance; without it, the start of the first step."""
        return self.accepted_at or self.started_at

    def was_known_before(self, asked_at: datetime) -> bool:
        """Whether the run existed before the request that was sent at `asked_at`.

        A new run is answered with version 1, so a difference between clocks does no harm. If our own repeat after a
        lost answer finds the run, the run was accepted after `asked_at`.
        """
        return self.version > 1 and self.accepted_at is not None and self.accepted_at < asked_at


class PlannedRevisionView(View):
    """One revision of a plan; `sql` is empty unless it was asked for."""

    id: str = ""
    message: str = ""
    transactional: bool = True
    reversible: bool = True
    destructive: bool = False
    sql: str = ""


class PlanView(View):
    """What a request would do to one service's database."""

    service: str = ""
    database: str = ""
    action: str = "upgrade"
    target: str = ""
    from_revisions: list[str] = Field(default=[], alias="from")
    to_revisions: list[str] = Field(default=[], alias="to")
    digest: str = ""
    revisions: list[PlannedRevisionView] = []
    warnings: list[ProblemView] = []  # what the migration would have to wait for


class FleetPlanView(View):
    """The answer of POST /plans; a request with obstacles would not start."""

    plans: list[PlanView] = Field(default=[], alias="services")
    obstacles: list[ProblemView] = []


class LockHolderView(View):
    """The PostgreSQL backend that holds a database's migration lock."""

    pid: int = 0
    application: str = ""


class BacklogView(View):
    """Journal rows of a service that the audit does not have yet; `since` is the time of the oldest."""

    events: int = 0
    since: Moment | None = None


class ServiceView(View):
    """One service of the fleet and its database, as GET /fleet answers it."""

    service: str = ""
    database: str = ""
    former_names: list[str] = []
    former_databases: list[str] = []
    state: str = ""
    reason: str = ""  # why it has no database; from the catalog
    current_revisions: list[str] = []
    head_revisions: list[str] = []
    pending: list[str] = []
    lock_holder: LockHolderView | None = None
    audit_backlog: BacklogView | None = None
    error: ProblemView | None = None


class FormerServiceView(View):
    """A service that has left the fleet, as the catalog declares it."""

    service: str = ""
    until: datetime  # no later event can really come from it
    reason: str = ""


Shown = TypeVar("Shown", bound=View)


def read(kind: type[Shown], document: Any) -> Shown:
    """Reads a JSON document as a view of this kind. Raises CannotReach if a field has another type."""
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise CannotReach(
            f"its answer cannot be read: {where or 'the document'} is not what it should be",
            "use a command line of the same release as the coordinator; --json shows the answer as it came",
            retryable=False,
        ) from error


def read_list(kind: type[Shown], document: dict[str, Any], *names: str) -> list[Shown]:
    """Reads the first of the named lists that the document has; raises CannotReach as `read` does."""
    for name in (*names, "items"):
        if isinstance(document.get(name), list):
            return [read(kind, item) for item in document[name]]
    return []


def now() -> datetime:
    """The current time, aware and in UTC."""
    return datetime.now(UTC)
