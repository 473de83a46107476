"""What a run owes to the outside: an audit event and, for some, a progress event on the topic."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from migration_sidecar.contract.messages import AuditEvent
from migration_sidecar.contract.progress_events import Announcement


class Notice(BaseModel):
    """Written in the same state write as the change it reports, so that neither can be lost without the other."""

    model_config = ConfigDict(frozen=True)

    event: AuditEvent
    announcement: Announcement | None = None
    recorded: bool = False  # it is in the audit; what is left is the announcement


def announced_data(event: AuditEvent) -> dict[str, Any]:
    """What subscribers learn: the audit's own facts, without its bookkeeping."""
    return event.model_dump(mode="json", exclude={"event_id", "event_type", "source"}, exclude_none=True)
