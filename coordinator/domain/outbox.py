"""The outbox of a run: audit events, some of them also published as progress events, that are not delivered yet."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from migration_sidecar.contract.messages import AuditEvent
from migration_sidecar.contract.progress_events import ProgressEventType

# What a record tells again from its fields; it remembers all others that it told.
DERIVED = frozenset(
    {
        "migration.requested",
        "migration.step_planned",
        "migration.started",
        "migration.step_started",
        "migration.step_finished",
        "migration.finished",
    }
)
PROGRESS_EVENT_OF = {
    "migration.requested": ProgressEventType.ACCEPTED,
    "migration.step_finished": ProgressEventType.STEP_FINISHED,
    "migration.finished": ProgressEventType.FINISHED,
}


class OutboxEntry(BaseModel):
    """One event to deliver. It is stored with the change that it reports, so neither exists without the other."""

    model_config = ConfigDict(frozen=True)

    event: AuditEvent
    announcement: ProgressEventType | None = None
    recorded: bool = False  # it is in the audit; what is left is the announcement


class ToldEvent(BaseModel):
    """An event that the record told, and that cannot be derived from its other fields, or not any more.

    The reconciliation looks for it in the audit. `sha256` is that of its payload; without one, only its id is compared,
    which is derived from what it tells.
    """

    model_config = ConfigDict(frozen=True)

    event_id: UUID
    event_type: str
    service: str | None = Field(default=None, exclude_if=lambda service: service is None)
    sha256: str | None = Field(default=None, exclude_if=lambda digest: digest is None)

    @classmethod
    def of(cls, event: AuditEvent) -> Self:
        """With the digest of the whole event."""
        return cls(
            event_id=event.event_id, event_type=event.event_type, service=event.service, sha256=payload_digest(event)
        )


def payload_digest(event: AuditEvent) -> str:
    """SHA-256 of the event as its source told it: without the number and the time that the audit gives it."""
    told = event.model_dump(mode="json", include=set(AuditEvent.model_fields))
    return hashlib.sha256(json.dumps(told, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def progress_event_data(event: AuditEvent) -> dict[str, Any]:
    """The data of a progress event: the facts of the audit event, without its id, type and source."""
    return event.model_dump(mode="json", exclude={"event_id", "event_type", "source"}, exclude_none=True)
