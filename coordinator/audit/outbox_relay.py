"""Delivers the outbox of a run: first to the audit, then to the topic, in the order in which things happened."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

from coordinator.audit.delivery_marks import DeliveryMarks
from coordinator.domain.audit_events import BATCH
from coordinator.domain.outbox import OutboxEntry, progress_event_data
from coordinator.domain.run import Run
from coordinator.ports import AuditTrail, EventPublisher, ProgressEvent
from coordinator.unavailable import AuditUnavailable, BrokerUnavailable, SidecarUnreachable

log = logging.getLogger(__name__)

AT_ONCE = 50  # far below the 4 MiB that daprd takes


class OutboxRelay:
    """Sends each event at least once and marks it as delivered; the run repository writes the marks."""

    def __init__(self, audit: AuditTrail, publisher: EventPublisher, marks: DeliveryMarks) -> None:
        self._audit, self._publisher, self._marks = audit, publisher, marks
        self.background: set[asyncio.Task[None]] = set()

    async def deliver_to_audit(self, run: Run) -> None:
        """Returns once the audit holds every event of the run so far.

        Raises AuditNotReady, AuditUnavailable or SidecarUnreachable.
        """
        marks = self._marks.of(run.request_id)
        async with marks.lock:
            owed = [n.event for n in run.outbox if not n.recorded and n.event.event_id not in marks.recorded]
            for start in range(0, len(owed), BATCH):
                batch = owed[start : start + BATCH]
                receipt = await self._audit.append(batch)
                for conflict in receipt.conflicts:
                    log.error("audit_conflict", extra={"request_id": run.request_id, "event_id": str(conflict)})
                self._marks.mark_recorded(run.request_id, (event.event_id for event in batch))

    async def publish_progress(self, run: Run) -> bool:
        """Publishes what the audit holds already; False when the broker did not take all of it."""
        marks = self._marks.of(run.request_id)
        async with marks.publishing:
            recorded = [n for n in run.outbox if n.announcement and (n.recorded or n.event.event_id in marks.recorded)]
            owed = [notice for notice in recorded if notice.event.event_id not in marks.announced]
            parts = [owed[start : start + AT_ONCE] for start in range(0, len(owed), AT_ONCE)]
            return all([await self._publish(part, marks.announced) for part in parts])

    def deliver_in_background(self, run: Run) -> None:
        """Delivers while the run goes on; what cannot be delivered now stays in the outbox."""
        task = asyncio.create_task(self._deliver(run))
        self.background.add(task)
        task.add_done_callback(self.background.discard)

    async def _deliver(self, run: Run) -> None:
        with suppress(AuditUnavailable, SidecarUnreachable):
            await self.deliver_to_audit(run)
            await self.publish_progress(run)

    async def _publish(self, owed: Sequence[OutboxEntry], announced: set[UUID]) -> bool:
        events = [
            ProgressEvent(n.announcement, str(n.event.event_id), n.event.occurred_at, progress_event_data(n.event))
            for n in owed
            if n.announcement is not None
        ]
        try:
            await self._publisher.publish_all(events)
        except BrokerUnavailable as error:
            log.warning("announcement_owed", extra={"request_id": owed[0].event.request_id, "why": error.detail})
            return False
        announced.update(notice.event.event_id for notice in owed)
        return True
