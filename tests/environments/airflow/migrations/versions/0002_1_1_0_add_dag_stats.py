"""add dag_stats table.

Revision ID: f2ca10b85618
Revises: e3a246e0dc1
"""

import sqlalchemy as sa
from alembic import op

revision = 'f2ca10b85618'
down_revision = 'e3a246e0dc1'
branch_labels = None
depends_on = None

airflow_version = "1.1.0"


def upgrade():
    op.create_table(
        "dag_stats",
        sa.Column("dag_id", sa.String(length=250), nullable=False),
        sa.Column("state", sa.String(length=50), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False, default=0),
        sa.Column("dirty", sa.Boolean(), nullable=False, default=False),
        sa.PrimaryKeyConstraint("dag_id", "state"),
    )


def downgrade():
    op.drop_table("dag_stats")
