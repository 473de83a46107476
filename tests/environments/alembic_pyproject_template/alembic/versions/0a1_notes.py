"""Notes

Revision ID: 0a1
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = '0a1'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table("note", sa.Column("id", sa.Integer, primary_key=True), sa.Column("text", sa.Text, nullable=False))


def downgrade() -> None:
    op.drop_table("note")
