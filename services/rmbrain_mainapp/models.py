"""Plugins of the main application: which exist, which tenants use them, and how events are routed to them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    SmallInteger,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from services.canonical import Timestamps, named_metadata, one_of


class Base(DeclarativeBase):
    """The declarative base of this service's tables."""

    metadata = named_metadata()
    type_annotation_map = {str: Text, datetime: DateTime(timezone=True), dict[str, Any]: JSONB}


class Plugin(Timestamps, Base):
    """One installable plugin in one version."""

    __tablename__ = "plugins"
    __table_args__ = (
        UniqueConstraint("name", "version"),
        CheckConstraint("name ~ '^[a-z0-9][a-z0-9-]{0,62}$'", name="name"),
        one_of("status", "registered", "enabled", "deprecated", "removed"),
        CheckConstraint("jsonb_typeof(manifest) = 'object'", name="manifest"),
    )

    plugin_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    name: Mapped[str]
    version: Mapped[str]
    vendor: Mapped[str]
    base_url: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="registered")
    manifest: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))


class TenantPlugin(Timestamps, Base):
    """A tenant's use of a plugin and its settings there."""

    __tablename__ = "tenant_plugins"
    __table_args__ = (
        CheckConstraint("jsonb_typeof(configuration) = 'object'", name="configuration"),
        CheckConstraint("NOT is_enabled OR enabled_at IS NOT NULL", name="enabled_at"),
        Index(None, "plugin_id"),
    )

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    plugin_id: Mapped[UUID] = mapped_column(ForeignKey("plugins.plugin_id", ondelete="RESTRICT"), primary_key=True)
    is_enabled: Mapped[bool] = mapped_column(server_default=text("false"))
    enabled_at: Mapped[datetime | None]
    enabled_by: Mapped[str | None]
    configuration: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))


class PluginEventRegistration(Base):
    """An event type that a plugin publishes or subscribes to."""

    __tablename__ = "plugin_event_registry"
    __table_args__ = (
        one_of("direction", "publishes", "subscribes"),
        UniqueConstraint("plugin_id", "event_type", "direction", name="uq_plugin_event_registry_registration"),
        Index("ix_plugin_event_registry_event_type", "event_type", "direction"),
    )

    registration_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    plugin_id: Mapped[UUID] = mapped_column(ForeignKey("plugins.plugin_id", ondelete="CASCADE"))
    event_type: Mapped[str]
    direction: Mapped[str]
    schema_version: Mapped[int] = mapped_column(SmallInteger, server_default=text("1"))
    registered_at: Mapped[datetime] = mapped_column(server_default=func.now())


class EventMapping(Timestamps, Base):
    """How a tenant's event becomes a call of a plugin; lower priority numbers go first."""

    __tablename__ = "event_mappings"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "plugin_id"],
            ["tenant_plugins.tenant_id", "tenant_plugins.plugin_id"],
            ondelete="CASCADE",
        ),
        CheckConstraint("jsonb_typeof(transformation) = 'object'", name="transformation"),
        CheckConstraint("priority BETWEEN 0 AND 1000", name="priority"),
        UniqueConstraint(
            "tenant_id", "plugin_id", "source_event_type", "target_event_type", name="uq_event_mappings_mapping"
        ),
        Index("ix_event_mappings_routing", "tenant_id", "source_event_type", "priority", postgresql_where="is_active"),
    )

    mapping_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    tenant_id: Mapped[str]
    plugin_id: Mapped[UUID]
    source_event_type: Mapped[str]
    target_event_type: Mapped[str]
    transformation: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    priority: Mapped[int] = mapped_column(SmallInteger, sort_order=92)
