"""Audit events that belong to no run, such as refusals: each is recorded once, also while the audit is away."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from uuid import UUID

from coordinator.documents.damaged import DamagedDocuments
from coordinator.documents.keys import OwnKey
from coordinator.domain.audit_events import BATCH
from coordinator.domain.spooled_events import PENDING_LIMIT as PENDING_LIMIT
from coordinator.domain.spooled_events import RECORDED_LIMIT, SpooledEvents, read_spool
from coordinator.errors import CoordinatorError
from coordinator.ports import AuditTrail, DocumentStore, Provenance, VersionedDocument
from coordinator.unavailable import AuditUnavailable, SidecarUnreachable, StateContended
from migration_sidecar.contract.messages import AuditEvent

log = logging.getLogger(__name__)

PENDING = OwnKey.SPOOL
ATTEMPTS = 20


class AuditSpool:
    """Stores an event in Dapr state before it sends it, so that any replica recognises a repeat.

    While the audit is away the newest 300 wait there; how many more there were is counted.
    """

    def __init__(
        self, audit: AuditTrail, documents: DocumentStore, damaged_documents: DamagedDocuments | None = None
    ) -> None:
        self._audit, self._documents = audit, documents
        self._damaged_documents = damaged_documents or DamagedDocuments(documents)
        self._known: dict[UUID, None] = {}  # handled recently: the store need not be read for these
        self.waiting = 0

    def is_known(self, event_id: UUID) -> bool:
        """Whether this process handled the event recently; if so, the store need not be read."""
        return event_id in self._known

    async def record_once(self, event: AuditEvent) -> bool:
        """Records an event; answers whether it is new.

        Raises StateUnavailable or StateContended where it could be stored nowhere; the message must then come again.
        """
        if self.is_known(event.event_id):
            return False
        is_new = await self._store(event)
        self._remember(event.event_id)
        if is_new:
            await self._flush_if_possible(event.event_type)
        return is_new

    async def record_counted(
        self, codes: Mapping[UUID, str], make_event: Callable[[Mapping[UUID, str]], AuditEvent]
    ) -> None:
        """Stores one event about those refusals that no replica has recorded or counted yet.

        `make_event` builds it from their codes. Raises StateUnavailable or StateContended.
        """
        for _ in range(ATTEMPTS):
            document = await self._documents.read(PENDING)
            remembered = await self._read(document)
            new = remembered.uncounted(codes)
            if not new:
                return
            event = make_event(new)
            if await self._write(document, remembered.with_counted(new).with_waiting(event)):
                await self._flush_if_possible(event.event_type)
                return
        raise StateContended(PENDING)

    async def latest_refusal(self, request_id: str) -> AuditEvent | None:
        """The newest refusal of this request id that still waits for the audit."""
        remembered, _ = read_spool_document(await self._documents.read(PENDING))
        refusals = [
            event for event in remembered.events if event.request_id == request_id and "verb" not in event.detail
        ]
        return next((event for event in reversed(refusals) if event.event_type == "migration.rejected"), None)

    async def flush(self) -> int:
        """Sends what waits; answers how many events that was.

        Raises AuditUnavailable, SidecarUnreachable or StateUnavailable. Called after each new event and by run
        recovery.
        """
        document = await self._documents.read(PENDING)
        remembered = await self._read(document)
        if document is not None and document.provenance is Provenance.SIGNED_BEFORE:
            await self._write(document, remembered)  # so that the earlier key can be retired
            document = await self._documents.read(PENDING)
            remembered = await self._read(document)  # another task may have added an event meanwhile
        waiting = remembered.events
        self.waiting = len(waiting)
        if not waiting:
            return 0
        for start in range(0, len(waiting), BATCH):
            await self._audit.append(waiting[start : start + BATCH])
        try:
            # If another task added an event, these stay, and the audit recognises them as repeats next time.
            if await self._write(document, remembered.as_delivered()):
                self.waiting = 0
        except CoordinatorError as error:
            log.info("remarks_not_struck", extra={"why": error.detail})
        log.info("remarks_recorded", extra={"count": len(waiting), "dropped": remembered.dropped})
        return len(waiting)

    async def _flush_if_possible(self, event_type: str) -> None:
        try:
            await self.flush()
        except (AuditUnavailable, SidecarUnreachable) as error:
            log.info("remark_waits", extra={"event_type": event_type, "why": error.detail})

    async def _store(self, event: AuditEvent) -> bool:
        for _ in range(ATTEMPTS):
            document = await self._documents.read(PENDING)
            remembered = await self._read(document)
            if remembered.knows(event.event_id):
                return False
            if remembered.is_pending(event.event_id):
                return True
            if await self._write(document, remembered.with_waiting(event)):
                return True
        raise StateContended(PENDING)

    async def _read(self, document: VersionedDocument | None) -> SpooledEvents:
        """What can be read; a copy of a damaged document is kept, and the next write leaves the damage out."""
        remembered, is_whole = read_spool_document(document)
        if document is not None and not is_whole:
            await self._damaged_documents.set_aside(PENDING, document)
        return remembered

    async def _write(self, document: VersionedDocument | None, remembered: SpooledEvents) -> bool:
        value = remembered.model_dump(mode="json")
        if document is None:
            return await self._documents.create(PENDING, value)
        return await self._documents.replace(PENDING, value, document.etag)

    def _remember(self, event_id: UUID) -> None:
        self._known[event_id] = None
        if len(self._known) > RECORDED_LIMIT:
            del self._known[next(iter(self._known))]


def read_spool_document(document: VersionedDocument | None) -> tuple[SpooledEvents, bool]:
    """The content of the document, and whether all of it could be read. Events that we have not written count as not.

    The audit would take them for ours. Of an earlier release, whose documents are not signed, the marks are kept.
    """
    if document is None:
        return SpooledEvents(), True
    spooled, is_whole = read_spool(document.value)
    if document.provenance.is_ours:
        return spooled, is_whole
    if document.provenance is Provenance.FORGED or spooled.events:
        return spooled.model_copy(update={"events": []}), False
    return spooled, is_whole
