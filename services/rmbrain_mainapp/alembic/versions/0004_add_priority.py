"""Add priority to event_mappings

What was mapped first goes first.
"""

import sqlalchemy as sa
from alembic import op

revision = "mainapp_0004"
down_revision = "mainapp_0003"
branch_labels = None
depends_on = None

BACKFILL = """
UPDATE event_mappings SET priority = least(1000, ranked.position * 10)
FROM (
    SELECT mapping_id, row_number() OVER (PARTITION BY tenant_id, source_event_type ORDER BY mapping_id) AS position
    FROM event_mappings
) AS ranked
WHERE ranked.mapping_id = event_mappings.mapping_id
"""


def upgrade() -> None:
    op.add_column("event_mappings", sa.Column("priority", sa.SmallInteger(), nullable=True))
    op.execute(BACKFILL)
    op.alter_column("event_mappings", "priority", nullable=False)
    op.create_check_constraint(op.f("ck_event_mappings_priority"), "event_mappings", "priority BETWEEN 0 AND 1000")
    op.create_index(
        "ix_event_mappings_routing",
        "event_mappings",
        ["tenant_id", "source_event_type", "priority"],
        postgresql_where=sa.text("is_active"),
    )


def downgrade() -> None:
    op.drop_column("event_mappings", "priority")
