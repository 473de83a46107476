"""Create plugins"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "mainapp_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "plugins",
        sa.Column("plugin_id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("base_url", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="registered", nullable=False),
        sa.Column("manifest", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("plugin_id", name=op.f("pk_plugins")),
        sa.UniqueConstraint("name", "version", name=op.f("uq_plugins_name_version")),
        sa.CheckConstraint("name ~ '^[a-z0-9][a-z0-9-]{0,62}$'", name=op.f("ck_plugins_name")),
        sa.CheckConstraint(
            "status IN ('registered', 'enabled', 'deprecated', 'removed')", name=op.f("ck_plugins_status")
        ),
        sa.CheckConstraint("jsonb_typeof(manifest) = 'object'", name=op.f("ck_plugins_manifest")),
    )


def downgrade() -> None:
    op.drop_table("plugins")
