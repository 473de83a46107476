"""current schema.

Revision ID: e3a246e0dc1
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = 'e3a246e0dc1'
down_revision = None
branch_labels = None
depends_on = None

airflow_version = "1.0.0"


def upgrade():
    conn = op.get_bind()
    tables = sa.inspect(conn).get_table_names()
    if "dag" not in tables:
        op.create_table(
            "dag",
            sa.Column("dag_id", sa.String(length=250), nullable=False),
            sa.Column("is_paused", sa.Boolean(), nullable=True),
            sa.Column("last_scheduler_run", sa.DateTime(), nullable=True),
            sa.PrimaryKeyConstraint("dag_id"),
        )
    if "task_instance" not in tables:
        op.create_table(
            "task_instance",
            sa.Column("task_id", sa.String(length=250), nullable=False),
            sa.Column("dag_id", sa.String(length=250), nullable=False),
            sa.Column("state", sa.String(length=20), nullable=True),
            sa.PrimaryKeyConstraint("task_id", "dag_id"),
        )


def downgrade():
    op.drop_table("task_instance")
    op.drop_table("dag")
