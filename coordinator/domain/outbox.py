"""The outbox of a run: audit events, some of them also published as progress events, that are not delivered yet."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from migration_sidecar.contract.messages import AuditEvent
from migration_sidecar.contract.progress_events import ProgressEventType


class OutboxEntry(BaseModel):
    """One event to deliver. It is stored with the change that it reports, so neither exists without the other."""

    model_config = ConfigDict(frozen=True)

    event: AuditEvent
    announcement: ProgressEventType | None = None
    recorded: bool = False  # it is in the audit; what is left is the announcement


def progress_event_data(event: AuditEvent) -> dict[str, Any]:
    """The data of a progress event: the facts of the audit event, without its id, type and source."""
    return event.model_dump(mode="json", exclude={"event_id", "event_type", "source"}, exclude_none=True)
