"""Delivers what a run owes: first to the audit, then to the topic, in the order things happened."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from uuid import UUID

from coordinator.domain.audit_events import BATCH, as_told_today
from coordinator.domain.outbox import Notice, announced_data
from coordinator.domain.run import Run, delivered
from coordinator.ports import AuditTrail, EventPublisher
from coordinator.unavailable import BrokerUnavailable

log = logging.getLogger(__name__)


class Relay:
    """Remembers deliveries until the record says so; forgetting them only means delivering again, which is harmless."""

    def __init__(self, audit: AuditTrail, publisher: EventPublisher) -> None:
        self._audit, self._publisher = audit, publisher
        self._recorded: defaultdict[str, set[UUID]] = defaultdict(set)
        self._announced: defaultdict[str, set[UUID]] = defaultdict(set)
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def record(self, run: Run) -> None:
        """Returns once every event of the run so far is in the audit; raises AuditUnavailable or AuditNotReady."""
        async with self._turns[run.request_id]:
            recorded = self._recorded[run.request_id]
            owed = [as_told_today(n.event) for n in run.outbox if not n.recorded and n.event.event_id not in recorded]
            for start in range(0, len(owed), BATCH):
                receipt = await self._audit.append(owed[start : start + BATCH])
                for conflict in receipt.conflicts:
                    log.error("audit_conflict", extra={"request_id": run.request_id, "event_id": str(conflict)})
                recorded.update(event.event_id for event in owed[start : start + BATCH])

    async def announce(self, run: Run) -> bool:
        """Publishes what is recorded; False when the broker did not take all of it."""
        recorded, announced = self._recorded[run.request_id], self._announced[run.request_id]
        owed = [n for n in run.outbox if n.announcement and (n.recorded or n.event.event_id in recorded)]
        outcomes = await asyncio.gather(
            *(self._publish(notice, announced) for notice in owed if notice.event.event_id not in announced)
        )
        return all(outcomes)

    def struck(self, run: Run) -> Run:
        """The run without what is delivered; part of the next write of its record."""
        return delivered(run, self._recorded[run.request_id], self._announced[run.request_id])

    def forget(self, request_id: str) -> None:
        for memory in (self._recorded, self._announced, self._turns):
            memory.pop(request_id, None)

    async def _publish(self, notice: Notice, announced: set[UUID]) -> bool:
        event = notice.event
        if notice.announcement is None:
            return True
        try:
            await self._publisher.publish(
                notice.announcement, str(event.event_id), event.occurred_at, announced_data(event)
            )
        except BrokerUnavailable as error:
            log.warning("announcement_owed", extra={"request_id": event.request_id, "why": error.detail})
            return False
        announced.add(event.event_id)
        return True
