"""The wire contract of reading the audit: what cas-audit answers and the coordinator passes on."""

from __future__ import annotations

from datetime import datetime

from migration_sidecar.messages import Message, RecordedAuditEvent


class RunStory(Message):
    """Answer of GET /audit/runs/{request_id}: all that was recorded with this request id, in the order it happened.

    Coordinator and services do not share a clock: `events` is sorted by `occurred_at`, and by `seq` within one moment.
    """

    request_id: str
    actor: str | None = None  # as far as migration.requested says it
    outcome: str | None = None  # of migration.finished; absent while the run goes on
    asked_at: datetime | None = None
    finished_at: datetime | None = None
    services: list[str] = []  # those that any event names, in the order of their first one
    events: list[RecordedAuditEvent]
    more: bool = False  # there are more events than one answer takes; GET /audit/events has them all


class WholeAuditEvent(RecordedAuditEvent):
    """Answer of GET /audit/events/{event}: the event with its place in the chain."""

    payload_hash: str
    prev_hash: str
    hash: str
