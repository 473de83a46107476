"""Everything around the coordinator, in this process: a store that counts what is written, services, audit, topic."""
# ruff: noqa: ARG002

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from coordinator.ports import Driver, Phase, ProgressEvent, ServiceAddress, VersionedDocument
from migration_sidecar.contract.audit import AuditReceipt
from migration_sidecar.contract.messages import (
    Action,
    AppliedRevision,
    AuditEvent,
    DatabaseState,
    MigrationPlan,
    Operation,
    OperationRequest,
    OperationState,
    PlannedRevision,
    ServiceStatus,
)
from migration_sidecar.contract.progress_events import ProgressEventType

HEAD = "r1"


@dataclass
class CountingStore:
    """Behaves as Dapr state with first-write; counts writes, and the bytes in them."""

    documents: dict[str, tuple[str, int]] = field(default_factory=dict)
    writes: int = 0
    bytes_written: int = 0
    largest: int = 0

    async def read(self, key: str) -> VersionedDocument | None:
        """As DocumentStore.read."""
        stored = self.documents.get(key)
        return None if stored is None else VersionedDocument(json.loads(stored[0]), str(stored[1]))

    async def read_many(self, keys: Sequence[str]) -> dict[str, VersionedDocument]:
        """As DocumentStore.read_many."""
        found = {key: await self.read(key) for key in keys}
        return {key: document for key, document in found.items() if document is not None}

    async def create(self, key: str, value: Mapping[str, Any]) -> bool:
        """As DocumentStore.create."""
        if key in self.documents:
            return False
        self._write(key, value)
        return True

    async def replace(self, key: str, value: Mapping[str, Any], etag: str) -> bool:
        """As DocumentStore.replace."""
        return await self.replace_with(key, value, etag, {})

    async def replace_with(
        self, key: str, value: Mapping[str, Any], etag: str, others: Mapping[str, Mapping[str, Any]]
    ) -> bool:
        """As DocumentStore.replace_with."""
        if key not in self.documents or str(self.documents[key][1]) != etag:
            return False
        for name, other in {**others, key: value}.items():
            self._write(name, other)
        return True

    def _write(self, key: str, value: Mapping[str, Any]) -> None:
        text = json.dumps(value)
        self.documents[key] = (text, self.documents.get(key, ("", 0))[1] + 1)
        self.writes, self.bytes_written = self.writes + 1, self.bytes_written + len(text)
        self.largest = max(self.largest, len(text))


@dataclass
class SimulatedFleet:
    """Implements FleetMessenger: each service has one revision to apply, and applies it at once."""

    current: dict[str, list[str]] = field(default_factory=dict)

    async def status(self, address: ServiceAddress) -> ServiceStatus:
        """As FleetMessenger.status."""
        return ServiceStatus(service=address.service, database=address.database, state=DatabaseState.BEHIND)

    async def plan(
        self,
        address: ServiceAddress,
        *,
        action: Action,
        target: str,
        with_sql: bool = False,
        beside_other_tables: bool = False,
    ) -> MigrationPlan:
        """As FleetMessenger.plan."""
        current = self.current.get(address.service, [])
        revision = PlannedRevision(
            id=HEAD, message=HEAD, sha256="0", transactional=True, reversible=True, destructive=False
        )
        return MigrationPlan(
            service=address.service,
            database=address.database,
            action=action,
            target=target,
            from_revisions=current,
            to_revisions=[HEAD],
            digest=sha256(f"{address.service}{current}".encode()).hexdigest(),
            revisions=[] if current else [revision],
        )

    async def start(self, address: ServiceAddress, order: OperationRequest, *, wait_seconds: int) -> Operation:
        """As FleetMessenger.start."""
        now = datetime.now(UTC)
        self.current[address.service] = [HEAD]
        return Operation(
            operation_id=order.operation_id,
            service=address.service,
            database=address.database,
            action=order.action,
            target=order.target,
            state=OperationState.SUCCEEDED,
            attempts=1,
            current_revisions=[HEAD],
            applied=[AppliedRevision(revision=HEAD, action=order.action, at=now, duration_ms=1)],
            accepted_at=now,
            finished_at=now,
        )

    async def operation(self, address: ServiceAddress, operation_id: str, *, wait_seconds: int) -> Operation:
        """Never asked, because an operation has ended when it is answered."""
        raise AssertionError(f"{operation_id} was asked for")

    async def cancel(self, address: ServiceAddress, operation_id: str) -> Operation:
        """Never asked, because nobody stops a run of the bench."""
        raise AssertionError(f"{operation_id} was cancelled")


class SimulatedAudit:
    """Implements AuditTrail."""

    async def append(self, events: Sequence[AuditEvent]) -> AuditReceipt:
        """As AuditTrail.append."""
        return AuditReceipt(stored=len(events), repeated=0, conflicts=[])


class SimulatedTopic:
    """Implements EventPublisher."""

    async def publish(
        self, announcement: ProgressEventType, event_id: str, at: datetime, data: Mapping[str, Any]
    ) -> None:
        """As EventPublisher.publish."""

    async def publish_all(self, events: Sequence[ProgressEvent]) -> None:
        """As EventPublisher.publish_all."""


class NoScheduler:
    """Implements WorkflowScheduler: the bench itself asks for turns."""

    connected = True

    async def prove(self) -> None:
        """As WorkflowScheduler.prove."""

    async def schedule(self, instance_id: str) -> None:
        """As WorkflowScheduler.schedule."""

    async def wake(self, instance_id: str) -> None:
        """As WorkflowScheduler.wake."""

    async def driver(self, instance_id: str) -> Driver:
        """As WorkflowScheduler.driver."""
        return Driver(Phase.ALIVE)

    async def terminate(self, instance_id: str) -> None:
        """As WorkflowScheduler.terminate."""
