"""Audit events that no run carries, such as refusals: each recorded once, also while the audit is away."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from coordinator.domain.audit import BATCH, as_told_today
from coordinator.errors import CoordinatorError
from coordinator.outages import AuditUnavailable, SidecarUnreachable, StateContended
from coordinator.ports import AuditTrail, Document, DocumentStore
from migration_sidecar.messages import AuditEvent

log = logging.getLogger(__name__)

PENDING = "rejections-pending"
PENDING_LIMIT = 300
RECORDED_LIMIT = 500
ATTEMPTS = 20


class Remarks:
    """An event is kept in Dapr state before it is sent, so that its repeat is told from it whichever replica gets it.

    While the audit is away, the newest `PENDING_LIMIT` wait there; how many more there were is counted.
    """

    def __init__(self, audit: AuditTrail, documents: DocumentStore) -> None:
        self._audit, self._documents = audit, documents
        self._known: dict[UUID, None] = {}  # spares the store a look for what was seen lately
        self.waiting = 0

    def is_known(self, event_id: UUID) -> bool:
        return event_id in self._known

    async def note(self, event: AuditEvent) -> bool:
        """Whether it was not recorded before.

        Raises StateUnavailable when it could be kept nowhere, so that the cause comes again.
        """
        if self.is_known(event.event_id):
            return False
        is_new = await self._keep(event)
        self._remember(event.event_id)
        if is_new:
            try:
                await self.flush()
            except (AuditUnavailable, SidecarUnreachable) as error:
                log.info("remark_waits", extra={"event_type": event.event_type, "why": error.detail})
        return is_new

    async def flush(self) -> int:
        """Hands over what waited; how many that was. Raises AuditUnavailable while the audit is still away."""
        document = await self._documents.read(PENDING)
        waiting = _events(document)
        self.waiting = len(waiting)
        if document is None or not waiting:
            return 0
        for start in range(0, len(waiting), BATCH):
            await self._audit.append([as_told_today(event) for event in waiting[start : start + BATCH]])
        recorded = [*_recorded(document), *(str(event.event_id) for event in waiting)]
        rest = {**document.value, "events": [], "recorded": recorded[-RECORDED_LIMIT:]}
        try:
            # Where somebody added one meanwhile, these stay and are recognised as repeats next time.
            if await self._documents.replace(PENDING, rest, document.etag):
                self.waiting = 0
        except CoordinatorError as error:
            log.info("remarks_not_struck", extra={"why": error.detail})
        log.info("remarks_recorded", extra={"count": len(waiting), "dropped": rest.get("dropped", 0)})
        return len(waiting)

    async def _keep(self, event: AuditEvent) -> bool:
        for _ in range(ATTEMPTS):
            document = await self._documents.read(PENDING)
            waiting = _events(document)
            if str(event.event_id) in _recorded(document):
                return False
            if any(one.event_id == event.event_id for one in waiting):
                return True
            if await self._write(document, [*waiting, event]):
                return True
        raise StateContended(PENDING)

    async def _write(self, document: Document | None, events: Sequence[AuditEvent]) -> bool:
        dropped = 0 if document is None else int(document.value.get("dropped", 0))
        kept = events[-PENDING_LIMIT:]
        value: dict[str, Any] = {
            "events": [event.model_dump(mode="json") for event in kept],
            "dropped": dropped + len(events) - len(kept),
            "recorded": _recorded(document),
        }
        if document is None:
            return await self._documents.create(PENDING, value)
        return await self._documents.replace(PENDING, value, document.etag)

    def _remember(self, event_id: UUID) -> None:
        self._known[event_id] = None
        if len(self._known) > RECORDED_LIMIT:
            del self._known[next(iter(self._known))]


def _events(document: Document | None) -> list[AuditEvent]:
    return [] if document is None else [AuditEvent.model_validate(one) for one in document.value.get("events", [])]


def _recorded(document: Document | None) -> list[str]:
    return [] if document is None else list(document.value.get("recorded", []))
