"""How much risk a client may take, and whether the offered products were suitable."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    Numeric,
    SmallInteger,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from services.canonical import ProcessedEventColumns, Timestamps, named_metadata, one_of


class Base(DeclarativeBase):
    """The declarative base of this service's tables."""

    metadata = named_metadata()
    type_annotation_map = {str: Text, datetime: DateTime(timezone=True), dict[str, Any]: JSONB, list[Any]: JSONB}


class RiskProfile(Timestamps, Base):
    """One version of a client's profile; at most one is in force."""

    __tablename__ = "risk_profiles"
    __table_args__ = (
        UniqueConstraint("client_id", "profile_version"),
        CheckConstraint("profile_version > 0", name="profile_version"),
        one_of("tolerance", "defensive", "conservative", "balanced", "growth", "aggressive"),
        CheckConstraint("maximum_risk_class BETWEEN 1 AND 7", name="maximum_risk_class"),
        CheckConstraint("horizon_years BETWEEN 0 AND 60", name="horizon_years"),
        CheckConstraint("maximum_loss_percent BETWEEN 0 AND 100", name="maximum_loss_percent"),
        CheckConstraint("jsonb_typeof(answers) = 'object'", name="answers"),
        one_of("status", "draft", "in_force", "superseded", "expired"),
        CheckConstraint("status <> 'in_force' OR signed_at IS NOT NULL", name="signed"),
        Index("uq_risk_profiles_in_force", "client_id", unique=True, postgresql_where="status = 'in_force'"),
        Index("ix_risk_profiles_review", "review_due", postgresql_where="status = 'in_force'"),
    )

    risk_profile_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    client_id: Mapped[UUID]
    profile_version: Mapped[int]
    tolerance: Mapped[str]
    maximum_risk_class: Mapped[int] = mapped_column(SmallInteger)
    horizon_years: Mapped[int] = mapped_column(SmallInteger)
    maximum_loss_percent: Mapped[Decimal] = mapped_column(Numeric(5, 2))
    answers: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    status: Mapped[str] = mapped_column(server_default="draft")
    signed_at: Mapped[datetime | None]
    review_due: Mapped[date | None] = mapped_column(sort_order=92)


class SuitabilityAssessment(Base):
    """Whether one product suits one profile. Overriding a negative result needs a person and a reason."""

    __tablename__ = "suitability_assessments"
    __table_args__ = (
        CheckConstraint("product_risk_class BETWEEN 1 AND 7", name="product_risk_class"),
        CheckConstraint("amount > 0", name="amount"),
        CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
        one_of("verdict", "suitable", "suitable_with_warning", "unsuitable"),
        CheckConstraint("jsonb_typeof(reasons) = 'array'", name="reasons"),
        CheckConstraint("(overridden_by IS NULL) = (override_reason IS NULL)", name="override_explained"),
        Index("ix_suitability_assessments_profile", "risk_profile_id", "assessed_at"),
        Index("ix_suitability_assessments_product", "product_id", "verdict"),
    )

    suitability_assessment_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    risk_profile_id: Mapped[UUID] = mapped_column(ForeignKey("risk_profiles.risk_profile_id", ondelete="RESTRICT"))
    product_id: Mapped[UUID]
    product_risk_class: Mapped[int] = mapped_column(SmallInteger)
    amount: Mapped[Decimal] = mapped_column(Numeric(18, 2))
    currency: Mapped[str]
    verdict: Mapped[str]
    reasons: Mapped[list[Any]] = mapped_column(server_default=text("'[]'::jsonb"))
    assessed_by: Mapped[str]
    assessed_at: Mapped[datetime] = mapped_column(server_default=func.now())
    overridden_by: Mapped[str | None]
    override_reason: Mapped[str | None]


class ProcessedEvent(ProcessedEventColumns, Base):
    """An event that this service has handled; see ProcessedEventColumns."""

    __tablename__ = "processed_events"
