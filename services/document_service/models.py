"""Documents of clients. The content itself is in the object store that storage_uri names."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, DateTime, ForeignKey, Index, Text, UniqueConstraint, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from services.canonical import ProcessedEventColumns, Timestamps, named_metadata, one_of


class Base(DeclarativeBase):
    """The declarative base of this service's tables."""

    metadata = named_metadata()
    type_annotation_map = {str: Text, datetime: DateTime(timezone=True)}


class Document(Timestamps, Base):
    """One version of one file; a newer version points back at the one it replaces."""

    __tablename__ = "documents"
    __table_args__ = (
        UniqueConstraint("storage_uri"),
        one_of("status", "draft", "final", "signed", "archived"),
        one_of("category", "identification", "contract", "tax", "report", "correspondence", "other"),
        CheckConstraint("byte_size >= 0", name="byte_size"),
        CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="sha256"),
        CheckConstraint("replaces_document_id <> document_id", name="replaces_another"),
        Index("ix_documents_client", "client_id", "category", "created_at"),
        Index(None, "sha256"),
        Index("ix_documents_retention", "retain_until", postgresql_where="status = 'archived'"),
        Index("uq_documents_replaced_once", "replaces_document_id", unique=True),
    )

    document_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    client_id: Mapped[UUID]
    title: Mapped[str]
    file_name: Mapped[str]
    content_type: Mapped[str]
    byte_size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    storage_uri: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="draft")
    uploaded_by: Mapped[str]
    category: Mapped[str] = mapped_column(server_default="other", sort_order=92)
    retain_until: Mapped[date | None] = mapped_column(sort_order=93)
    replaces_document_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("documents.document_id", ondelete="RESTRICT"), sort_order=94
    )


class ProcessedEvent(ProcessedEventColumns, Base):
    """An event that this service has handled; see ProcessedEventColumns."""

    __tablename__ = "processed_events"
