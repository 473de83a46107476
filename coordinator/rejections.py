"""Records what was refused at a door, once per message; of a flood only how many there were."""

from __future__ import annotations

import logging
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from coordinator.domain import audit
from coordinator.domain.notice import Announcement, announced_data
from coordinator.errors import CoordinatorError
from coordinator.outages import BrokerUnavailable
from coordinator.ports import Clock, EventPublisher
from coordinator.remarks import Remarks
from migration_sidecar.messages import AuditEvent

log = logging.getLogger(__name__)


@dataclass
class Flood:
    """Lets `burst` through at once and then one every `seconds`, so that nobody can fill the audit from outside."""

    burst: int = 60
    seconds: float = 10.0
    _level: float = 0.0
    _at: float = field(default_factory=time.monotonic)

    def lets_through(self) -> bool:
        now = time.monotonic()
        self._level = max(0.0, self._level - (now - self._at) / self.seconds)
        self._at = now
        if self._level + 1 > self.burst:
            return False
        self._level += 1
        return True


class Rejections:
    def __init__(self, remarks: Remarks, publisher: EventPublisher, clock: Clock, flood: Flood | None = None) -> None:
        self._remarks, self._publisher, self._clock = remarks, publisher, clock
        self._flood = flood or Flood()
        self._uncounted: Counter[str] = Counter()
        self._since: datetime | None = None

    @property
    def waiting(self) -> int:
        return self._remarks.waiting

    async def record(self, event: AuditEvent) -> None:
        """Raises StateUnavailable when it could be kept nowhere, so that the message is delivered again."""
        if self._remarks.is_known(event.event_id):
            return
        if not self._flood.lets_through():
            self._since = self._since or event.occurred_at
            self._uncounted[str(event.detail.get("code"))] += 1
        elif await self._remarks.note(event):
            await self._announce(event)

    async def flush(self) -> int:
        """Tells how many were only counted, and hands over what waited; raises AuditUnavailable while it is away."""
        if self._since is not None:
            codes, since = dict(self._uncounted), self._since
            self._uncounted.clear()
            self._since = None
            try:
                await self._remarks.note(audit.about_more_rejections(since, self._clock(), codes))
            except CoordinatorError:
                self._uncounted.update(codes)
                self._since = since
                raise
        return await self._remarks.flush()

    async def _announce(self, event: AuditEvent) -> None:
        try:
            await self._publisher.publish(
                Announcement.REJECTED, str(event.event_id), event.occurred_at, announced_data(event)
            )
        except BrokerUnavailable as error:
            log.warning("rejection_not_announced", extra={"event_id": str(event.event_id), "why": error.detail})
