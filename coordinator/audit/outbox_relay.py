"""Delivers the outbox of a run: first to the audit, then to the topic, in the order in which things happened."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from uuid import UUID

from coordinator.audit.delivery_marks import DeliveryMarks
from coordinator.domain.audit_events import BATCH
from coordinator.domain.outbox import OutboxEntry, progress_event_data
from coordinator.domain.run import Run
from coordinator.ports import AuditTrail, EventPublisher
from coordinator.unavailable import AuditUnavailable, BrokerUnavailable, SidecarUnreachable

log = logging.getLogger(__name__)


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
                marks.recorded.update(event.event_id for event in batch)

    async def publish_progress(self, run: Run) -> bool:
        """Publishes what the audit holds already; False when the broker did not take all of it."""
        marks = self._marks.of(run.request_id)
        owed = [n for n in run.outbox if n.announcement and (n.recorded or n.event.event_id in marks.recorded)]
        outcomes = await asyncio.gather(
            *(self._publish(notice, marks.announced) for notice in owed if notice.event.event_id not in marks.announced)
        )
        return all(outcomes)

    def deliver_in_background(self, run: Run) -> None:
        """Delivers while the run goes on; what cannot be delivered now stays in the outbox."""
        task = asyncio.create_task(self._deliver(run))
        self.background.add(task)
        task.add_done_callback(self.background.discard)

    async def _deliver(self, run: Run) -> None:
        with suppress(AuditUnavailable, SidecarUnreachable):
            await self.deliver_to_audit(run)
            await self.publish_progress(run)

    async def _publish(self, notice: OutboxEntry, announced: set[UUID]) -> bool:
        event = notice.event
        if notice.announcement is None:
            return True
        try:
            await self._publisher.publish(
                notice.announcement, str(event.event_id), event.occurred_at, progress_event_data(event)
            )
        except BrokerUnavailable as error:
            log.warning("announcement_owed", extra={"request_id": event.request_id, "why": error.detail})
            return False
        announced.add(event.event_id)
        return True
