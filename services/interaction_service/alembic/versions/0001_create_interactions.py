"""Create interactions"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "interaction_0001"
down_revision = None
branch_labels = None
depends_on = None

CHANNELS = "'meeting', 'phone', 'video', 'email', 'chat', 'letter'"


def upgrade() -> None:
    op.create_table(
        "interactions",
        sa.Column("interaction_id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("relationship_manager_id", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("duration_seconds", sa.Integer(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=True),
        sa.Column("participants", JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("sentiment", sa.SmallInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("interaction_id", name=op.f("pk_interactions")),
        sa.CheckConstraint(f"channel IN ({CHANNELS})", name=op.f("ck_interactions_channel")),
        sa.CheckConstraint("direction IN ('inbound', 'outbound', 'internal')", name=op.f("ck_interactions_direction")),
        sa.CheckConstraint("duration_seconds >= 0", name=op.f("ck_interactions_duration_seconds")),
        sa.CheckConstraint("jsonb_typeof(participants) = 'array'", name=op.f("ck_interactions_participants")),
        sa.CheckConstraint("sentiment BETWEEN -2 AND 2", name=op.f("ck_interactions_sentiment")),
    )
    op.create_index("ix_interactions_timeline", "interactions", ["client_id", "occurred_at"])


def downgrade() -> None:
    op.drop_table("interactions")
