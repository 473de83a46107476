"""Tasks of the desk: who does what, for which client and until when."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Index, SmallInteger, Text, UniqueConstraint, func, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from services.canonical import ProcessedEventColumns, Timestamps, named_metadata, one_of


class Base(DeclarativeBase):
    """The declarative base of this service's tables."""

    metadata = named_metadata()
    type_annotation_map = {str: Text, datetime: DateTime(timezone=True)}


class Task(Timestamps, Base):
    """One task. Because of source_event_id, a redelivered event does not create it twice."""

    __tablename__ = "tasks"
    __table_args__ = (
        UniqueConstraint("source_event_id"),
        CheckConstraint("length(btrim(title)) > 0", name="title"),
        one_of("task_type", "call", "review", "kyc", "document", "order", "other"),
        one_of("status", "open", "in_progress", "blocked", "done", "cancelled"),
        CheckConstraint("(status = 'done') = (completed_at IS NOT NULL)", name="completed_at"),
        CheckConstraint("parent_task_id <> task_id", name="parent_is_another"),
        CheckConstraint("urgency BETWEEN 1 AND 5", name="urgency"),
        Index("ix_tasks_client", "client_id", "created_at"),
        Index(None, "parent_task_id"),
        Index(
            "ix_tasks_work_list",
            "assigned_to",
            "due_at",
            postgresql_where="status IN ('open', 'in_progress', 'blocked')",
        ),
    )

    task_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    client_id: Mapped[UUID | None]
    title: Mapped[str]
    description: Mapped[str | None]
    task_type: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="open")
    assigned_to: Mapped[str | None]
    created_by: Mapped[str]
    due_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    source_event_id: Mapped[str | None]
    parent_task_id: Mapped[UUID | None] = mapped_column(ForeignKey("tasks.task_id", ondelete="CASCADE"), sort_order=92)
    urgency: Mapped[int] = mapped_column(SmallInteger, server_default=text("3"), sort_order=93)


class ProcessedEvent(ProcessedEventColumns, Base):
    """An event that this service has handled; see ProcessedEventColumns."""

    __tablename__ = "processed_events"
