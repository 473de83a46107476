"""What the coordinator needs from outside, as small protocols; each names the errors it may raise."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from migration_sidecar.contract.journal import JournalPage
from migration_sidecar.contract.messages import (
    Action,
    AuditEvent,
    AuditReceipt,
    MigrationPlan,
    Operation,
    OperationRequest,
    ServiceStatus,
)
from migration_sidecar.contract.progress_events import Announcement


class Address(NamedTuple):
    """Whom to ask, and whose answer is believed: another service's or database's is not."""

    service: str
    database: str


class Document(NamedTuple):
    """What is stored, and the mark that says whether it has changed since; only its writer made sure what it is."""

    value: Any
    etag: str


class DocumentStore(Protocol):
    """Dapr state: single documents, first write wins. After a StateUnavailable a write may have happened."""

    async def read(self, key: str) -> Document | None: ...
    async def read_many(self, keys: Sequence[str]) -> dict[str, Document]: ...
    async def create(self, key: str, value: Mapping[str, Any]) -> bool:
        """False when the key exists already."""
        ...

    async def replace(self, key: str, value: Mapping[str, Any], etag: str) -> bool:
        """False when the document was changed since it was read."""
        ...


class AuditTrail(Protocol):
    """The fleet's audit; append raises AuditNotReady or AuditUnavailable, after which events may have been stored."""

    async def append(self, events: Sequence[AuditEvent]) -> AuditReceipt: ...


class Stream(Protocol):
    """An answer that is read while it comes; whoever opened it reads or closes it."""

    content_type: str

    def chunks(self) -> AsyncIterator[bytes]: ...


class AuditReader(Protocol):
    """The audit's own answers. Raises Service{Unreachable,Refused,Lied} and SidecarUnreachable."""

    async def open(self, path: str, query: str) -> Stream: ...


class FleetMessenger(Protocol):
    """A service's migration sidecar endpoint. Raises Service{Unreachable,Refused,Lied} and SidecarUnreachable."""

    async def status(self, address: Address) -> ServiceStatus: ...
    async def plan(self, address: Address, *, action: Action, target: str, with_sql: bool = False) -> MigrationPlan: ...
    async def start(self, address: Address, order: OperationRequest, *, wait_seconds: int) -> Operation: ...
    async def operation(self, address: Address, operation_id: str, *, wait_seconds: int) -> Operation: ...


class Journals(Protocol):
    """The services' own journals, page by page. Raises Service{Unreachable,Refused,Lied} and SidecarUnreachable."""

    async def journal(self, address: Address, *, after: int, limit: int) -> JournalPage: ...


class EventPublisher(Protocol):
    """The topic migrate.events; at least once, recognisable by id; raises BrokerUnavailable."""

    async def publish(
        self, announcement: Announcement, event_id: str, at: datetime, data: Mapping[str, Any]
    ) -> None: ...


class Phase(StrEnum):
    """Where the workflow of a run is, as far as a caller must care."""

    NONE = "none"
    ALIVE = "alive"
    PAUSED = "paused"  # by hand, in Dapr; it goes on when it is resumed there
    OVER = "over"


class Driver(NamedTuple):
    """The workflow of a run, as the engine has it."""

    phase: Phase
    turned_at: datetime | None = None  # its last turn, by the engine's clock: to be compared, never to be measured


class WorkflowScheduler(Protocol):
    """The workflow engine; an instance has its run's id. Raises WorkflowUnavailable."""

    @property
    def connected(self) -> bool:
        """Whether orders are carried out, as far as was seen last."""
        ...

    async def prove(self) -> None:
        """Has the engine take one turn for nothing, and remembers in `connected` whether it did."""
        ...

    async def schedule(self, request_id: str) -> None:
        """Starting one that is alive is no error and has no effect."""
        ...

    async def driver(self, request_id: str) -> Driver: ...

    async def terminate(self, request_id: str) -> None:
        """Returns once the instance is over."""
        ...


class Clock(Protocol):
    def __call__(self) -> datetime:
        """Now, aware, in UTC."""
        ...
