"""Records refused requests, once per message. Of too many at once only the number is recorded."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from coordinator.audit.event_spool import AuditSpool
from coordinator.domain import audit_events
from coordinator.domain.outbox import progress_event_data
from coordinator.domain.spooled_events import COUNTED_LIMIT
from coordinator.ports import Clock, EventPublisher
from coordinator.unavailable import BrokerUnavailable
from migration_sidecar.contract.messages import AuditEvent
from migration_sidecar.contract.progress_events import ProgressEventType

log = logging.getLogger(__name__)

# As many are held in memory; the next one has to wait until these are recorded.
MAX_UNREPORTED = 1000


@dataclass
class RateLimit:
    """A leaky bucket: allows `burst` at once and then one every `seconds`, so that no sender can fill the audit."""

    burst: int = 60
    seconds: float = 10.0
    _level: float = 0.0
    _at: float = field(default_factory=time.monotonic)

    def allows(self) -> bool:
        """Whether there is room for one more; it then takes the room."""
        now = time.monotonic()
        self._level = max(0.0, self._level - (now - self._at) / self.seconds)
        self._at = now
        if self._level + 1 > self.burst:
            return False
        self._level += 1
        return True


class Rejections:
    """Records refusals and publishes them as progress events; called by `RequestIntake`."""

    def __init__(
        self, spool: AuditSpool, publisher: EventPublisher, clock: Clock, rate_limit: RateLimit | None = None
    ) -> None:
        self._spool, self._publisher, self._clock = spool, publisher, clock
        self._rate_limit = rate_limit or RateLimit()
        # By event id and not as a number: each comes again as a dead letter, perhaps to another replica.
        self._unreported: dict[UUID, str] = {}
        self._counted: dict[UUID, None] = {}
        self._since: datetime | None = None

    @property
    def waiting(self) -> int:
        """How many events that belong to no run wait for the audit."""
        return self._spool.waiting

    async def record(self, event: AuditEvent) -> bool:
        """Records a refusal; answers whether it came for the first time, as far as this process can tell.

        Raises StateUnavailable or StateContended where it could be stored nowhere; the message must then come again.
        """
        if self._spool.is_known(event.event_id) or event.event_id in self._counted:
            return False
        if not self._rate_limit.allows():
            await self._count(event)
            return True
        if not await self._spool.record_once(event):
            return False
        await self._publish(event)
        return True

    async def flush(self) -> int:
        """Records how many were only counted, and sends what waits; raises AuditUnavailable while the audit is away."""
        await self._report_counted()
        return await self._spool.flush()

    async def _count(self, event: AuditEvent) -> None:
        if len(self._unreported) >= MAX_UNREPORTED:
            await self._report_counted()
        self._since = self._since or event.occurred_at
        self._unreported[event.event_id] = str(event.detail.get("code"))
        self._counted[event.event_id] = None
        if len(self._counted) > COUNTED_LIMIT:
            del self._counted[next(iter(self._counted))]

    async def _report_counted(self) -> None:
        """Refusals that come meanwhile are recorded the next time; what could not be recorded now stays."""
        reported, since = dict(self._unreported), self._since
        if since is None:
            return

        def make_event(codes: Mapping[UUID, str]) -> AuditEvent:
            return audit_events.rejections_dropped_event(since, self._clock(), dict(Counter(codes.values())))

        await self._spool.record_counted(reported, make_event)
        for event_id in reported:
            self._unreported.pop(event_id, None)
        self._since = self._clock() if self._unreported else None

    async def _publish(self, event: AuditEvent) -> None:
        try:
            await self._publisher.publish(
                ProgressEventType.REJECTED, str(event.event_id), event.occurred_at, progress_event_data(event)
            )
        except BrokerUnavailable as error:
            log.warning("rejection_not_announced", extra={"event_id": str(event.event_id), "why": error.detail})
