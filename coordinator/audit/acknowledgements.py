"""Records that an operator answers for a gap of `audit reconcile` which nothing can mend."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from coordinator.audit.event_spool import AuditSpool
from coordinator.domain import audit_events
from coordinator.domain.permissions import NotPermitted, Permission, Permissions, Requester
from coordinator.domain.reconciliation.acknowledgements import acknowledgeable
from coordinator.errors import BadField, ServiceLied
from coordinator.ports import AuditReader, Clock
from migration_sidecar.contract.audit import StoredAuditEvent
from migration_sidecar.contract.messages import AuditEvent


class NobodyAnswers(NotPermitted):
    """An acknowledgement is worth what the name in it is worth."""

    def __init__(self) -> None:
        super().__init__("Whoever is not known by name cannot answer for a gap.")


@dataclass(frozen=True)
class GapAcknowledgement:
    """Looks the event up that a gap was found by, and records who answers for it."""

    audit: AuditReader
    audit_name: str
    spool: AuditSpool
    clock: Clock
    permissions: Permissions

    async def acknowledge(self, seq: int, reason: str, requester: Requester) -> AuditEvent:
        """The event that was recorded, or waits for the audit.

        Raises NotPermitted, BadField for an event that no such gap is found by, and what `AuditReader.open` and
        `AuditSpool.record_once` raise.
        """
        self.permissions.require(requester, Permission.ADMIN, "all")
        if requester.name is None:
            raise NobodyAnswers
        about = await self._event(seq)
        gap = acknowledgeable(about)
        if gap is None:
            raise BadField(
                f"seq = {seq} is a {about.event_type}; only an audit.conflict can be acknowledged, and the last event"
                " of a run whose record is not signed."
            )
        event = audit_events.acknowledgement_event(gap.value, about, self.clock(), requester.actor(), reason)
        await self.spool.record_once(event)
        return event

    async def _event(self, seq: int) -> StoredAuditEvent:
        answer = await self.audit.open(f"/audit/events/{seq}", "")
        try:
            return StoredAuditEvent.model_validate_json(b"".join([chunk async for chunk in answer.chunks()]))
        except ValidationError:
            raise ServiceLied(self.audit_name, "not with an event") from None
