"""Incidents

Revision ID: c1a2
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = 'c1a2'
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "incident",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("reported_at", sa.DateTime, server_default=sa.func.now()),
    )


def downgrade():
    op.drop_table("incident")
