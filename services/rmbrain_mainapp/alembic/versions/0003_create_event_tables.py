"""Create plugin_event_registry and event_mappings"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "mainapp_0003"
down_revision = "mainapp_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_plugin_event_registry()
    create_event_mappings()


def create_plugin_event_registry() -> None:
    op.create_table(
        "plugin_event_registry",
        sa.Column("registration_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("plugin_id", sa.Uuid(), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("schema_version", sa.SmallInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("registration_id", name=op.f("pk_plugin_event_registry")),
        sa.ForeignKeyConstraint(
            ["plugin_id"], ["plugins.plugin_id"], name=op.f("fk_plugin_event_registry_plugin_id"), ondelete="CASCADE"
        ),
        sa.UniqueConstraint("plugin_id", "event_type", "direction", name="uq_plugin_event_registry_registration"),
        sa.CheckConstraint("direction IN ('publishes', 'subscribes')", name=op.f("ck_plugin_event_registry_direction")),
    )
    op.create_index("ix_plugin_event_registry_event_type", "plugin_event_registry", ["event_type", "direction"])


def create_event_mappings() -> None:
    op.create_table(
        "event_mappings",
        sa.Column("mapping_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("plugin_id", sa.Uuid(), nullable=False),
        sa.Column("source_event_type", sa.Text(), nullable=False),
        sa.Column("target_event_type", sa.Text(), nullable=False),
        sa.Column("transformation", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("mapping_id", name=op.f("pk_event_mappings")),
        sa.ForeignKeyConstraint(
            ["plugin_id"], ["plugins.plugin_id"], name=op.f("fk_event_mappings_plugin_id"), ondelete="CASCADE"
        ),
        sa.UniqueConstraint(
            "tenant_id", "plugin_id", "source_event_type", "target_event_type", name="uq_event_mappings_mapping"
        ),
        sa.CheckConstraint("jsonb_typeof(transformation) = 'object'", name=op.f("ck_event_mappings_transformation")),
    )


def downgrade() -> None:
    op.drop_table("event_mappings")
    op.drop_table("plugin_event_registry")
