"""Totals

Revision ID: t3
Revises: t2
"""

import sqlalchemy as sa
from alembic import op

revision = 't3'
down_revision = 't2'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("invoice", sa.Column("total_cents", sa.BigInteger, server_default="0", nullable=False))


def downgrade():
    op.drop_column("invoice", "total_cents")
