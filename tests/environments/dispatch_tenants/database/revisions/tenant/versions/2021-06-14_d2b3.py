"""Tasks of an incident

Revision ID: d2b3
Revises: c1a2
"""

import sqlalchemy as sa
from alembic import op

revision = 'd2b3'
down_revision = 'c1a2'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "task",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("incident_id", sa.Integer, sa.ForeignKey("incident.id", ondelete="CASCADE")),
        sa.Column("resolved", sa.Boolean, server_default=sa.false()),
    )


def downgrade():
    op.drop_table("task")
