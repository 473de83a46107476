"""Make processed_events canonical

The structure that all CDS services share.
"""

import sqlalchemy as sa
from alembic import op

revision = "document_0003"
down_revision = "document_0002"
branch_labels = None
depends_on = None

# What the old table never stored cannot be recovered; it says so instead of guessing.
BACKFILL = "UPDATE processed_events SET source = 'before-canonical', event_type = 'unknown'"

# Old ids were unique by themselves; of two sources with the same id the one handled first is kept.
KEEP_FIRST_OF_EACH_ID = """
DELETE FROM processed_events AS later USING processed_events AS earlier
WHERE later.event_id = earlier.event_id
  AND (later.processed_at, later.source) > (earlier.processed_at, earlier.source)
"""


def upgrade() -> None:
    op.execute("UPDATE processed_events SET processed_at = now() WHERE processed_at IS NULL")
    op.alter_column("processed_events", "event_id", type_=sa.Text())
    op.alter_column(
        "processed_events",
        "processed_at",
        type_=sa.DateTime(timezone=True),
        nullable=False,
        postgresql_using="processed_at AT TIME ZONE 'UTC'",
    )
    for column in ("source", "event_type", "aggregate_id", "payload_hash"):
        op.add_column("processed_events", sa.Column(column, sa.Text(), nullable=True))
    op.add_column("processed_events", sa.Column("outcome", sa.Text(), server_default="processed", nullable=False))
    op.execute(BACKFILL)
    op.alter_column("processed_events", "source", nullable=False)
    op.alter_column("processed_events", "event_type", nullable=False)
    constrain()


def constrain() -> None:
    op.drop_constraint(op.f("processed_events_pkey"), "processed_events")
    op.create_primary_key(op.f("pk_processed_events"), "processed_events", ["source", "event_id"])
    op.create_check_constraint(
        op.f("ck_processed_events_payload_hash"), "processed_events", "payload_hash ~ '^[0-9a-f]{64}$'"
    )
    op.create_check_constraint(
        op.f("ck_processed_events_outcome"), "processed_events", "outcome IN ('processed', 'ignored', 'failed')"
    )
    op.create_index(
        op.f("ix_processed_events_aggregate_id_processed_at"), "processed_events", ["aggregate_id", "processed_at"]
    )
    op.create_index(op.f("ix_processed_events_processed_at"), "processed_events", ["processed_at"])


def downgrade() -> None:
    op.execute(KEEP_FIRST_OF_EACH_ID)
    op.drop_index(op.f("ix_processed_events_processed_at"), table_name="processed_events")
    op.drop_index(op.f("ix_processed_events_aggregate_id_processed_at"), table_name="processed_events")
    op.drop_constraint(op.f("pk_processed_events"), "processed_events")
    for column in ("outcome", "payload_hash", "aggregate_id", "event_type", "source"):
        op.drop_column("processed_events", column)
    op.alter_column(
        "processed_events",
        "processed_at",
        type_=sa.DateTime(),
        nullable=True,
        postgresql_using="processed_at AT TIME ZONE 'UTC'",
    )
    op.alter_column("processed_events", "event_id", type_=sa.String(255), postgresql_using="left(event_id, 255)")
    op.create_primary_key(op.f("processed_events_pkey"), "processed_events", ["event_id"])
