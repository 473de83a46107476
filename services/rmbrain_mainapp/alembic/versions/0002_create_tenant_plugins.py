"""Create tenant_plugins"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "mainapp_0002"
down_revision = "mainapp_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tenant_plugins",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("plugin_id", sa.Uuid(), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("enabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("enabled_by", sa.Text(), nullable=True),
        sa.Column("configuration", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "plugin_id", name=op.f("pk_tenant_plugins")),
        sa.ForeignKeyConstraint(
            ["plugin_id"], ["plugins.plugin_id"], name=op.f("fk_tenant_plugins_plugin_id"), ondelete="RESTRICT"
        ),
        sa.CheckConstraint("jsonb_typeof(configuration) = 'object'", name=op.f("ck_tenant_plugins_configuration")),
        sa.CheckConstraint("NOT is_enabled OR enabled_at IS NOT NULL", name=op.f("ck_tenant_plugins_enabled_at")),
    )
    op.create_index(op.f("ix_tenant_plugins_plugin_id"), "tenant_plugins", ["plugin_id"])


def downgrade() -> None:
    op.drop_table("tenant_plugins")
