"""The audit store: one append-only table, filled by audit.append_events only."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from services.canonical import named_metadata


class Base(DeclarativeBase):
    metadata = named_metadata()
    type_annotation_map = {str: Text, datetime: DateTime(timezone=True), dict[str, Any]: JSONB}


class AuditEvent(Base):
    """One link of the chain: `hash` covers seq, recorded_at, prev_hash and payload_hash, which covers all the rest."""

    __tablename__ = "audit_events"
    __table_args__ = (
        CheckConstraint("seq > 0", name="seq"),
        CheckConstraint("jsonb_typeof(detail) = 'object'", name="detail"),
        Index(None, "request_id", "seq"),
        Index(None, "service", "seq"),
        Index(None, "event_type", "seq"),
        Index(None, "occurred_at"),
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
