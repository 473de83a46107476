"""What the coordinator answers about the audit, as the command and the report read it."""

from __future__ import annotations

from typing import Any

from coordinator.client.views import Moment, View


class AuditStandingView(View):
    """Whether the audit takes events: `state` is `away` while it does not."""

    state: str = ""
    since: Moment | None = None
    reason: str = ""
    events_waiting: int = 0


class AuditEventView(View):
    """One audit event, as GET /audit/events answers it."""

    seq: int = 0
    event_type: str = ""
    occurred_at: Moment | None = None
    source: str = ""
    request_id: str = ""
    service: str = ""
    actor: str = ""
    from_revision: str = ""
    to_revision: str = ""
    outcome: str = ""
    duration_ms: float | None = None
    detail: dict[str, Any] = {}

    def text(self, name: str) -> str:
        """A text in `detail`; empty if there is none. A problem gives its code and its detail."""
        value = self.detail.get(name)
        if isinstance(value, dict):
            value = " ".join(str(value[part]) for part in ("code", "detail") if value.get(part))
        return value if isinstance(value, str) else ""


class RunStoryView(View):
    """The audit's events of one run, as GET /audit/runs/ID answers them; `more` if some are left out."""

    request_id: str = ""
    actor: str = ""
    outcome: str = ""
    asked_at: Moment | None = None
    finished_at: Moment | None = None
    services: list[str] = []
    events: list[AuditEventView] = []
    more: bool = False

    @property
    def seconds(self) -> float | None:
        """Seconds from the request to the end; None if one of them is unknown."""
        if self.asked_at is None or self.finished_at is None:
            return None
        return max(0.0, (self.finished_at - self.asked_at).total_seconds())
