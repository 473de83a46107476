"""init

Revision ID: 4e6a06bad7a8
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = '4e6a06bad7a8'
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "slices",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("slice_name", sa.String(length=250)),
        sa.Column("params", sa.Text()),
        sa.PrimaryKeyConstraint("id"),
    )
    op.execute("INSERT INTO slices (slice_name, params) SELECT 'chart ' || n, '{\"n\": ' || n || '}' FROM generate_series(1, 1200) n")


def downgrade():
    op.drop_table("slices")
