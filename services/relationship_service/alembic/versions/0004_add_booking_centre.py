"""Add booking centre to relationships

Everything so far was booked in Zurich.
"""

import sqlalchemy as sa
from alembic import op

revision = "relationship_0004"
down_revision = "relationship_0003"
branch_labels = None
depends_on = None


# A constant default needs no rewrite: PostgreSQL keeps it beside the table and old rows read it from there.
def upgrade() -> None:
    op.add_column("relationships", sa.Column("booking_centre", sa.Text(), server_default="ZRH", nullable=False))
    op.create_index("ix_relationships_booking_centre", "relationships", ["booking_centre", "team_id"])


def downgrade() -> None:
    op.drop_column("relationships", "booking_centre")
