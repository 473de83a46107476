"""Remove dag_stats table, and name the key.

Revision ID: a56c9515abdc
Revises: 05f30312d566
"""

import sqlalchemy as sa
from alembic import op

revision = 'a56c9515abdc'
down_revision = '05f30312d566'
branch_labels = None
depends_on = None

airflow_version = "2.0.0"


def upgrade():
    op.drop_table("dag_stats")
    with op.batch_alter_table("task_instance", naming_convention={"fk": "%(table_name)s_%(column_0_name)s_fkey"}) as batch_op:
        batch_op.create_foreign_key("task_instance_dag_id_fkey", "dag", ["dag_id"], ["dag_id"], ondelete="CASCADE")


def downgrade():
    with op.batch_alter_table("task_instance") as batch_op:
        batch_op.drop_constraint("task_instance_dag_id_fkey", type_="foreignkey")
    op.create_table(
        "dag_stats",
        sa.Column("dag_id", sa.String(length=250), nullable=False),
        sa.Column("state", sa.String(length=50), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False, default=0),
        sa.Column("dirty", sa.Boolean(), nullable=False, default=False),
        sa.PrimaryKeyConstraint("dag_id", "state"),
    )
