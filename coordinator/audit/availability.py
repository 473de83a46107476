"""Whether the audit can be written, since when it cannot, and how many events wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from coordinator.ports import AuditTrail, Clock
from coordinator.unavailable import AuditUnavailable, SidecarUnreachable
from migration_sidecar.contract.audit import AuditReceipt
from migration_sidecar.contract.messages import AuditEvent


@dataclass
class MonitoredAuditTrail:
    """An AuditTrail that remembers how the last append ended; only `append` updates that."""

    audit: AuditTrail
    clock: Clock
    unavailable_since: datetime | None = None
    reason: str = ""
    events_waiting: int = 0  # of open runs, and those that belong to no run; counted by the last round of recovery

    async def append(self, events: Sequence[AuditEvent]) -> AuditReceipt:
        """As AuditTrail.append, and raises the same errors."""
        try:
            receipt = await self.audit.append(events)
        except (AuditUnavailable, SidecarUnreachable) as error:
            self.unavailable_since, self.reason = self.unavailable_since or self.clock(), error.detail
            raise
        self.unavailable_since = None
        return receipt

    def as_json(self) -> dict[str, Any]:
        """As `GET /fleet` and readiness show it."""
        if self.unavailable_since is None:
            return {"state": "written", "events_waiting": self.events_waiting}
        since = self.unavailable_since.isoformat()
        return {"state": "away", "since": since, "reason": self.reason, "events_waiting": self.events_waiting}
