"""Receivers

Revision ID: 5b2c
Revises: 4f1a
"""

import sqlalchemy as sa
from alembic import op

revision = '5b2c'
down_revision = '4f1a'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "receiver",
        sa.Column("letter_id", sa.Integer, sa.ForeignKey("letter.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
    )


def downgrade() -> None:
    op.drop_table("receiver")
