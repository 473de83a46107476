"""Table of the audit store. It is append-only and filled by audit.append_events; all else is in schema audit."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Computed, DateTime, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from services.canonical import named_metadata

ONCE_PER_RUN = "event_type IN ('migration.requested', 'migration.approved', 'migration.finished')"
FAILED = """event_type IN ('attempt.failed', 'attempt.refused', 'migration.rejected', 'migration.rejections_counted',
    'migration.conflict', 'audit.conflict', 'drift.found')
    OR event_type IN ('migration.step_finished', 'migration.finished')
    AND outcome IN ('failed', 'needs_attention', 'compensated')"""
BY_HAND = "detail ->> 'way_in' = 'by hand'"
CHANGES = "event_type IN ('revision.applied', 'revision.reverted', 'revision.stamped')"


class Base(DeclarativeBase):
    """The declarative base of this service's tables."""

    metadata = named_metadata()
    type_annotation_map = {str: Text, datetime: DateTime(timezone=True), dict[str, Any]: JSONB}


class AuditEvent(Base):
    """One link of the chain.

    `hash` covers seq, recorded_at, prev_hash and payload_hash; that covers the other columns.
    """

    __tablename__ = "audit_events"
    __table_args__ = (
        CheckConstraint("seq > 0", name="seq"),
        CheckConstraint("jsonb_typeof(detail) = 'object'", name="detail"),
        Index(None, "request_id", "seq"),
        Index(None, "service", "seq"),
        Index(None, "event_type", "seq"),
        Index(None, "database", "seq"),
        Index(None, "actor", "seq"),
        Index(None, "outcome", "seq"),
        Index(None, "revision", "seq"),
        Index(None, "occurred_at"),
        Index("ix_audit_events_told_once", "request_id", postgresql_where=text(ONCE_PER_RUN)),
        Index("ix_audit_events_failed", "occurred_at", postgresql_where=text(FAILED)),
        Index("ix_audit_events_by_hand", "seq", "occurred_at", postgresql_where=text(BY_HAND)),
        Index("ix_audit_events_changes", "occurred_at", postgresql_where=text(CHANGES)),
        Index("ix_audit_events_recorded_at", "recorded_at", postgresql_using="brin"),
    )

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    event_id: Mapped[UUID] = mapped_column(unique=True)
    event_type: Mapped[str]
    occurred_at: Mapped[datetime]
    recorded_at: Mapped[datetime]
    source: Mapped[str]
    request_id: Mapped[str | None]
    service: Mapped[str | None]
    database: Mapped[str | None]
    actor: Mapped[str | None]
    from_revision: Mapped[str | None]
    to_revision: Mapped[str | None]
    outcome: Mapped[str | None]
    duration_ms: Mapped[int | None] = mapped_column(BigInteger)
    detail: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    payload_hash: Mapped[str]
    prev_hash: Mapped[str] = mapped_column(unique=True)  # a fork would need the same predecessor twice
    hash: Mapped[str]
    revision: Mapped[str | None] = mapped_column(Computed("detail ->> 'revision'", persisted=True))
