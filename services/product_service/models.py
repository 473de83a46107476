"""Investment products that the desk may offer, and on which terms."""

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, Index, Numeric, SmallInteger, Text, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from services.canonical import ProcessedEventColumns, Timestamps, named_metadata, one_of


class Base(DeclarativeBase):
    """The declarative base of this service's tables."""

    metadata = named_metadata()
    type_annotation_map = {str: Text, datetime: DateTime(timezone=True)}


class Product(Timestamps, Base):
    """One instrument; risk_class is the regulator's scale from 1 (lowest) to 7."""

    __tablename__ = "products"
    __table_args__ = (
        CheckConstraint("isin ~ '^[A-Z]{2}[A-Z0-9]{9}[0-9]$'", name="isin"),
        one_of("asset_class", "equity", "bond", "fund", "structured", "alternative", "cash"),
        one_of("status", "draft", "approved", "suspended", "withdrawn"),
        CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
        CheckConstraint("risk_class BETWEEN 1 AND 7", name="risk_class"),
        CheckConstraint("minimum_investment > 0", name="minimum_investment"),
        CheckConstraint("status <> 'approved' OR approved_at IS NOT NULL", name="approved_at"),
        one_of("sustainability", "article_6", "article_8", "article_9", "not_applicable"),
        CheckConstraint("ongoing_charges_percent BETWEEN 0 AND 20", name="ongoing_charges_percent"),
        Index("ix_products_shelf", "asset_class", "currency", "risk_class", postgresql_where="status = 'approved'"),
        Index(None, "issuer_name"),
    )

    product_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    isin: Mapped[str | None] = mapped_column(unique=True)
    name: Mapped[str]
    issuer_name: Mapped[str]
    asset_class: Mapped[str]
    currency: Mapped[str]
    risk_class: Mapped[int] = mapped_column(SmallInteger)
    minimum_investment: Mapped[Decimal | None] = mapped_column(Numeric(18, 2))
    ongoing_charges_percent: Mapped[Decimal | None] = mapped_column(Numeric(7, 4))
    matures_on: Mapped[date | None]
    status: Mapped[str] = mapped_column(server_default="draft")
    approved_at: Mapped[datetime | None]
    sustainability: Mapped[str] = mapped_column(sort_order=92)


class ProcessedEvent(ProcessedEventColumns, Base):
    """An event that this service has handled; see ProcessedEventColumns."""

    __tablename__ = "processed_events"
