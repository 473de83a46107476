"""What the schemas of the fleet share: names of constraints, closed sets of values, and the record of handled events.

Alembic revisions never import this module. A revision must keep the content that it had when it was applied.
"""

from datetime import datetime

from sqlalchemy import CheckConstraint, DateTime, Index, MetaData, PrimaryKeyConstraint, Text, func
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

NAMING_CONVENTION = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
}


def named_metadata() -> MetaData:
    """Metadata that names every constraint, so that a later revision can drop what an earlier one created."""
    return MetaData(naming_convention=NAMING_CONVENTION)


def one_of(column: str, *values: str) -> CheckConstraint:
    """A check that the text column holds one of these values.

    Adding a value is a quick revision, unlike altering an enum.
    """
    allowed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({allowed})", name=column)


class Timestamps:
    """When a row was created and when it was last changed."""

    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now(), sort_order=90)
    updated_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), onupdate=func.now(), sort_order=91
    )


class ProcessedEventColumns:
    """A handled event. All CDS databases have the same columns; a source and its event id occur only once."""

    event_id: Mapped[str] = mapped_column(Text)
    processed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    source: Mapped[str] = mapped_column(Text)
    event_type: Mapped[str] = mapped_column(Text)
    aggregate_id: Mapped[str | None] = mapped_column(Text)
    payload_hash: Mapped[str | None] = mapped_column(Text)  # absent for events older than this column
    outcome: Mapped[str] = mapped_column(Text, server_default="processed")

    @declared_attr.directive
    def __table_args__(cls) -> tuple[PrimaryKeyConstraint | CheckConstraint | Index, ...]:  # noqa: N805  (SQLAlchemy calls it with the class)
        return (
            PrimaryKeyConstraint("source", "event_id"),
            CheckConstraint("payload_hash ~ '^[0-9a-f]{64}$'", name="payload_hash"),
            one_of("outcome", "processed", "ignored", "failed"),
            Index(None, "aggregate_id", "processed_at"),
            Index(None, "processed_at"),
        )
