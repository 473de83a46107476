"""Colours

Revision ID: 0b2
Revises: 0a1
"""

import sqlalchemy as sa
from alembic import op

revision = '0b2'
down_revision = '0a1'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("note", sa.Column("colour", sa.String(7), server_default="#ffffff", nullable=False))


def downgrade() -> None:
    op.drop_column("note", "colour")
