"""Create processed_events"""

import sqlalchemy as sa
from alembic import op

revision = "relationship_0002"
down_revision = "relationship_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "processed_events",
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("processed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("aggregate_id", sa.Text(), nullable=True),
        sa.Column("payload_hash", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), server_default="processed", nullable=False),
        sa.PrimaryKeyConstraint("source", "event_id", name=op.f("pk_processed_events")),
        sa.CheckConstraint("payload_hash ~ '^[0-9a-f]{64}$'", name=op.f("ck_processed_events_payload_hash")),
        sa.CheckConstraint("outcome IN ('processed', 'ignored', 'failed')", name=op.f("ck_processed_events_outcome")),
    )
    op.create_index(
        op.f("ix_processed_events_aggregate_id_processed_at"), "processed_events", ["aggregate_id", "processed_at"]
    )
    op.create_index(op.f("ix_processed_events_processed_at"), "processed_events", ["processed_at"])


def downgrade() -> None:
    op.drop_table("processed_events")
