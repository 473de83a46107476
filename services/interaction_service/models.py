"""Conversations with clients: what was said, when, how and by whom."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, Index, SmallInteger, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from services.canonical import ProcessedEventColumns, Timestamps, named_metadata, one_of


class Base(DeclarativeBase):
    """The declarative base of this service's tables."""

    metadata = named_metadata()
    type_annotation_map = {str: Text, datetime: DateTime(timezone=True), list[Any]: JSONB}


class Interaction(Timestamps, Base):
    """One conversation. Follow-up work is a task in another service, due at follow_up_due."""

    __tablename__ = "interactions"
    __table_args__ = (
        one_of("channel", "meeting", "phone", "video", "email", "chat", "letter"),
        one_of("direction", "inbound", "outbound", "internal"),
        CheckConstraint("duration_seconds >= 0", name="duration_seconds"),
        CheckConstraint("jsonb_typeof(participants) = 'array'", name="participants"),
        CheckConstraint("sentiment BETWEEN -2 AND 2", name="sentiment"),
        CheckConstraint("follow_up_due IS NULL OR follow_up_owner IS NOT NULL", name="follow_up_has_owner"),
        CheckConstraint("NOT is_recorded OR channel IN ('phone', 'video')", name="recordable_channel"),
        Index("ix_interactions_timeline", "client_id", "occurred_at"),
        Index("ix_interactions_diary", "relationship_manager_id", "occurred_at"),
        Index(
            "ix_interactions_follow_up",
            "follow_up_owner",
            "follow_up_due",
            postgresql_where="follow_up_due IS NOT NULL",
        ),
    )

    interaction_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    client_id: Mapped[UUID]
    relationship_manager_id: Mapped[str]
    channel: Mapped[str]
    direction: Mapped[str]
    occurred_at: Mapped[datetime]
    duration_seconds: Mapped[int | None]
    subject: Mapped[str]
    summary: Mapped[str | None]
    participants: Mapped[list[Any]] = mapped_column(server_default=text("'[]'::jsonb"))
    sentiment: Mapped[int | None] = mapped_column(SmallInteger)
    follow_up_due: Mapped[date | None] = mapped_column(sort_order=92)
    follow_up_owner: Mapped[str | None] = mapped_column(sort_order=93)
    is_recorded: Mapped[bool] = mapped_column(server_default=text("false"), sort_order=94)


class ProcessedEvent(ProcessedEventColumns, Base):
    """An event that this service has handled; see ProcessedEventColumns."""

    __tablename__ = "processed_events"
