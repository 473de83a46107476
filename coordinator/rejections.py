"""Records what was refused at a door, also while the audit is away, and never more than once per message."""

from __future__ import annotations

import logging
from typing import Any

from coordinator.domain.notice import Announcement, announced_data
from coordinator.outages import AuditUnavailable, BrokerUnavailable, SidecarUnreachable, StateContended
from coordinator.ports import AuditTrail, Document, DocumentStore, EventPublisher
from migration_sidecar.messages import AuditEvent

log = logging.getLogger(__name__)

PENDING = "rejections-pending"
PENDING_LIMIT = 300
ATTEMPTS = 20


class Rejections:
    """While the audit is away, the newest `PENDING_LIMIT` wait in Dapr state; how many more there were is counted."""

    def __init__(self, audit: AuditTrail, documents: DocumentStore, publisher: EventPublisher) -> None:
        self._audit, self._documents, self._publisher = audit, documents, publisher

    async def record(self, event: AuditEvent) -> None:
        """Raises StateUnavailable when it could be kept nowhere, so that the message is delivered again."""
        try:
            await self._audit.append([event])
        except (AuditUnavailable, SidecarUnreachable):
            await self._keep(event)
        await self._announce(event)

    async def flush(self) -> int:
        """Hands over what waited; how many that was. Raises AuditUnavailable while the audit is still away."""
        document = await self._documents.read(PENDING)
        waiting = _events(document)
        if document is None or not waiting:
            return 0
        await self._audit.append(waiting)
        rest = {"events": [], "dropped": document.value.get("dropped", 0)}
        # Somebody added one meanwhile: it stays, and these are recognised as repeats next time.
        await self._documents.replace(PENDING, rest, document.etag)
        log.info("rejections_recorded", extra={"count": len(waiting), "dropped": rest["dropped"]})
        return len(waiting)

    async def _keep(self, event: AuditEvent) -> None:
        for _ in range(ATTEMPTS):
            document = await self._documents.read(PENDING)
            waiting = _events(document)
            if any(known.event_id == event.event_id for known in waiting):
                return
            if await self._write(document, [*waiting, event]):
                return
        raise StateContended(PENDING)

    async def _write(self, document: Document | None, events: list[AuditEvent]) -> bool:
        dropped = 0 if document is None else int(document.value.get("dropped", 0))
        kept = events[-PENDING_LIMIT:]
        value: dict[str, Any] = {
            "events": [event.model_dump(mode="json") for event in kept],
            "dropped": dropped + len(events) - len(kept),
        }
        if document is None:
            return await self._documents.create(PENDING, value)
        return await self._documents.replace(PENDING, value, document.etag)

    async def _announce(self, event: AuditEvent) -> None:
        try:
            await self._publisher.publish(
                Announcement.REJECTED, str(event.event_id), event.occurred_at, announced_data(event)
            )
        except BrokerUnavailable as error:
            log.warning("rejection_not_announced", extra={"event_id": str(event.event_id), "why": error.detail})


def _events(document: Document | None) -> list[AuditEvent]:
    return [] if document is None else [AuditEvent.model_validate(one) for one in document.value.get("events", [])]
