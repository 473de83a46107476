"""owners

Revision ID: 1a48a5411020
Revises: 5a7bad26f2a7
"""

import sqlalchemy as sa
from alembic import op

revision = '1a48a5411020'
down_revision = '5a7bad26f2a7'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "slice_owner",
        sa.Column("slice_id", sa.Integer, sa.ForeignKey("slices.id"), primary_key=True),
        sa.Column("owner", sa.String(64), primary_key=True),
    )
    op.execute("INSERT INTO slice_owner SELECT id, 'admin' FROM slices")


def downgrade():
    op.drop_table("slice_owner")
