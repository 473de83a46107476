"""Who at the bank looks after which client, and since when."""

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, Index, Numeric, Text, UniqueConstraint, func, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from services.canonical import ProcessedEventColumns, Timestamps, named_metadata, one_of


class Base(DeclarativeBase):
    """The declarative base of this service's tables."""

    metadata = named_metadata()
    type_annotation_map = {str: Text, datetime: DateTime(timezone=True)}


class Relationship(Timestamps, Base):
    """One employee's role towards one client while it lasts; an open end means now."""

    __tablename__ = "relationships"
    __table_args__ = (
        one_of("role", "primary", "deputy", "specialist", "assistant"),
        CheckConstraint("valid_to >= valid_from", name="period"),
        CheckConstraint("revenue_share_percent BETWEEN 0 AND 100", name="revenue_share_percent"),
        UniqueConstraint("client_id", "employee_id", "role", "valid_from", name="uq_relationships_relationship"),
        Index("ix_relationships_book", "employee_id", "role", postgresql_where="valid_to IS NULL"),
        Index(
            "uq_relationships_one_primary",
            "client_id",
            unique=True,
            postgresql_where="role = 'primary' AND valid_to IS NULL",
        ),
        Index("ix_relationships_booking_centre", "booking_centre", "team_id"),
    )

    relationship_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    client_id: Mapped[UUID]
    employee_id: Mapped[str]
    role: Mapped[str]
    team_id: Mapped[str | None]
    revenue_share_percent: Mapped[Decimal] = mapped_column(Numeric(5, 2), server_default=text("0"))
    valid_from: Mapped[date] = mapped_column(server_default=func.current_date())
    valid_to: Mapped[date | None]
    booking_centre: Mapped[str] = mapped_column(server_default="ZRH", sort_order=92)


class ProcessedEvent(ProcessedEventColumns, Base):
    """An event that this service has handled; see ProcessedEventColumns."""

    __tablename__ = "processed_events"
