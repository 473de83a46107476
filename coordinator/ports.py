"""The interfaces of the coordinator to other systems, as protocols. Each names the errors it may raise."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from migration_sidecar.contract.audit import AuditReceipt
from migration_sidecar.contract.journal import JournalPage
from migration_sidecar.contract.messages import (
    Action,
    AuditEvent,
    MigrationPlan,
    Operation,
    OperationRequest,
    ServiceStatus,
)
from migration_sidecar.contract.progress_events import ProgressEventType


class ServiceAddress(NamedTuple):
    """A service and its database; an answer about another pair is refused."""

    service: str
    database: str


class Provenance(StrEnum):
    """Who has written a document, as far as its signature tells."""

    UNCHECKED = "unchecked"  # documents are not signed
    SIGNED = "signed"  # by the coordinator
    SIGNED_BEFORE = "signed_before"  # by the coordinator, with a key that it does not sign with any more
    UNSIGNED = "unsigned"  # by an earlier release, or by somebody else
    UNKNOWN_KEY = "unknown_key"  # by the coordinator with a key that was retired, or by somebody else
    FORGED = "forged"  # changed after it was signed, or signed for another place or by another application

    @property
    def is_ours(self) -> bool:
        """Whether the coordinator may act on the document."""
        return self in (Provenance.UNCHECKED, Provenance.SIGNED, Provenance.SIGNED_BEFORE)


class VersionedDocument(NamedTuple):
    """A stored value and its etag, which changes with every write."""

    value: Any
    etag: str
    provenance: Provenance = Provenance.UNCHECKED


class DocumentStore(Protocol):
    """Dapr state: single documents, the first write wins.

    Raises StateUnavailable, after which a write may or may not have happened, and DocumentTooLarge for a write.
    """

    async def read(self, key: str) -> VersionedDocument | None:
        """None where the key does not exist."""
        ...

    async def read_many(self, keys: Sequence[str]) -> dict[str, VersionedDocument]:
        """By key; keys that do not exist are left out."""
        ...

    async def create(self, key: str, value: Mapping[str, Any]) -> bool:
        """False when the key exists already."""
        ...

    async def replace(self, key: str, value: Mapping[str, Any], etag: str) -> bool:
        """False when the document was changed since it was read."""
        ...

    async def replace_with(
        self, key: str, value: Mapping[str, Any], etag: str, others: Mapping[str, Mapping[str, Any]]
    ) -> bool:
        """Replaces a document and writes others, whatever these were: all of it, or nothing. False as for `replace`."""
        ...


class AuditTrail(Protocol):
    """The audit of the fleet."""

    async def append(self, events: Sequence[AuditEvent]) -> AuditReceipt:
        """Stores events in this order, at most 1 MiB; events that it has are recognised by their ids.

        Raises AuditNotReady, AuditUnavailable or SidecarUnreachable, after which events may have been stored.
        """
        ...


class ByteStream(Protocol):
    """An answer that is read while it comes. It must be read to its end or closed."""

    content_type: str

    def chunks(self) -> AsyncIterator[bytes]:
        """The body, piece by piece."""
        ...


class AuditReader(Protocol):
    """The audit's own routes. Raises ServiceUnreachable, ServiceRefused, ServiceLied and SidecarUnreachable."""

    async def open(self, path: str, query: str) -> ByteStream:
        """The answer of a GET on this path."""
        ...


class FleetMessenger(Protocol):
    """The migration sidecar endpoint of a service.

    Raises ServiceUnreachable, ServiceRefused, ServiceLied and SidecarUnreachable.
    """

    async def status(self, address: ServiceAddress) -> ServiceStatus:
        """Where the database is."""
        ...

    async def plan(
        self,
        address: ServiceAddress,
        *,
        action: Action,
        target: str,
        with_sql: bool = False,
        beside_other_tables: bool = False,
    ) -> MigrationPlan:
        """What the service would do for this target; nothing is touched."""
        ...

    async def start(self, address: ServiceAddress, order: OperationRequest, *, wait_seconds: int) -> Operation:
        """Starts the operation, or recognises it by its id; waits for its end, at most `wait_seconds`."""
        ...

    async def operation(self, address: ServiceAddress, operation_id: str, *, wait_seconds: int) -> Operation:
        """The operation; waits for its end, at most `wait_seconds`."""
        ...

    async def cancel(self, address: ServiceAddress, operation_id: str) -> Operation:
        """Asks the service to stop the operation at the next whole revision; one that has ended stays as it is."""
        ...


class JournalSource(Protocol):
    """The services' own journals.

    Raises ServiceUnreachable, ServiceRefused, ServiceLied and SidecarUnreachable.
    """

    async def journal(self, address: ServiceAddress, *, after: int, limit: int) -> JournalPage:
        """At most `limit` rows after row `after`."""
        ...


class ProgressEvent(NamedTuple):
    """One event for the topic migrate.events."""

    announcement: ProgressEventType
    event_id: str
    at: datetime
    data: Mapping[str, Any]


class EventPublisher(Protocol):
    """The topic migrate.events."""

    async def publish(
        self, announcement: ProgressEventType, event_id: str, at: datetime, data: Mapping[str, Any]
    ) -> None:
        """Publishes at least once; a repeat is recognised by its id. Raises BrokerUnavailable."""
        ...

    async def publish_all(self, events: Sequence[ProgressEvent]) -> None:
        """The same with several, in any order. Raises BrokerUnavailable if not all were taken; some may have been."""
        ...


class Phase(StrEnum):
    """Whether a workflow exists and can go on."""

    NONE = "none"
    ALIVE = "alive"
    PAUSED = "paused"  # by hand, in Dapr; it moves again when it is resumed there
    STALLED = "stalled"  # Dapr cannot replay it here: another release wrote its history
    OVER = "over"


class Driver(NamedTuple):
    """The workflow of a run, as the engine knows it."""

    phase: Phase
    turned_at: datetime | None = None  # its last turn by the engine's clock, which is only compared with itself


class WorkflowScheduler(Protocol):
    """The workflow engine. The workflow of a run has an instance id, `Run.instance_id`. Raises WorkflowUnavailable."""

    @property
    def connected(self) -> bool:
        """Whether activities were carried out at the last proof."""
        ...

    async def prove(self) -> None:
        """Has the engine carry out an empty workflow, and remembers in `connected` whether it did."""
        ...

    async def schedule(self, instance_id: str) -> None:
        """Starts the workflow; has no effect on one that is alive."""
        ...

    async def wake(self, instance_id: str) -> None:
        """Has the workflow look at its run at once; one that is not there is left alone."""
        ...

    async def driver(self, instance_id: str) -> Driver:
        """The workflow as the engine knows it."""
        ...

    async def terminate(self, instance_id: str) -> None:
        """Ends the workflow; returns once it has ended."""
        ...


class TokenSubject(NamedTuple):
    """Whom a verified token speaks of."""

    issuer: str
    subject: str


class TokenVerifier(Protocol):
    """Verifies the bearer tokens of [oidc]."""

    async def verify(self, token: str) -> TokenSubject:
        """Raises TokenRefused."""
        ...


class Clock(Protocol):
    """Called for the present time."""

    def __call__(self) -> datetime:
        """Now, aware, in UTC."""
        ...
