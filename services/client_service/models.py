"""The clients of the desk, and their relationships with each other."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from services.canonical import ProcessedEventColumns, Timestamps, named_metadata, one_of


class Base(DeclarativeBase):
    """The declarative base of this service's tables."""

    metadata = named_metadata()
    type_annotation_map = {str: Text, datetime: DateTime(timezone=True)}


class Client(Timestamps, Base):
    """A person or legal entity that the bank knows, from the first contact on."""

    __tablename__ = "clients"
    __table_args__ = (
        CheckConstraint("client_number ~ '^C[0-9]{8}$'", name="client_number"),
        one_of("client_type", "person", "joint", "company", "trust", "foundation"),
        one_of("status", "prospect", "onboarding", "active", "dormant", "closed"),
        one_of("segment", "private", "institutional"),
        CheckConstraint("length(btrim(legal_name)) > 0", name="legal_name"),
        CheckConstraint("domicile_country ~ '^[A-Z]{2}$'", name="domicile_country"),
        CheckConstraint("reference_currency ~ '^[A-Z]{3}$'", name="reference_currency"),
        Index("ix_clients_portfolio", "relationship_manager_id", "status", "legal_name"),
        Index(
            "ix_clients_kyc_review_due",
            "kyc_review_due",
            postgresql_where="status IN ('onboarding', 'active', 'dormant')",
        ),
    )

    client_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    client_number: Mapped[str] = mapped_column(unique=True)
    client_type: Mapped[str]
    legal_name: Mapped[str]
    date_of_birth: Mapped[date | None]
    domicile_country: Mapped[str]
    reference_currency: Mapped[str] = mapped_column(server_default="CHF")
    status: Mapped[str] = mapped_column(server_default="prospect")
    relationship_manager_id: Mapped[str | None]
    kyc_review_due: Mapped[date | None]
    version: Mapped[int] = mapped_column(server_default=text("1"))
    segment: Mapped[str] = mapped_column(sort_order=92)


class ClientLink(Base):
    """The relationship of one client to another, while it lasts."""

    __tablename__ = "client_links"
    __table_args__ = (
        one_of("link_type", "spouse", "parent", "beneficial_owner", "authorised_signatory", "trustee", "guarantor"),
        CheckConstraint("from_client_id <> to_client_id", name="two_clients"),
        CheckConstraint("valid_to >= valid_from", name="period"),
        UniqueConstraint("from_client_id", "to_client_id", "link_type", "valid_from", name="uq_client_links_link"),
        Index(None, "to_client_id", "link_type"),
    )

    client_link_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    from_client_id: Mapped[UUID] = mapped_column(ForeignKey("clients.client_id", ondelete="RESTRICT"))
    to_client_id: Mapped[UUID] = mapped_column(ForeignKey("clients.client_id", ondelete="RESTRICT"))
    link_type: Mapped[str]
    valid_from: Mapped[date] = mapped_column(server_default=func.current_date())
    valid_to: Mapped[date | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ProcessedEvent(ProcessedEventColumns, Base):
    """An event that this service has handled; see ProcessedEventColumns."""

    __tablename__ = "processed_events"
