"""Samples

Revision ID: m1
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = 'm1'
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    op.create_table("sample", sa.Column("at", sa.DateTime(timezone=True)), sa.Column("value", sa.Float))


def downgrade():
    op.drop_table("sample")
