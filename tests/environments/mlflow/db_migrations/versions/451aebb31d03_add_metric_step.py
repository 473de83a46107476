"""add metric step

Revision ID: 451aebb31d03
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = '451aebb31d03'
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "experiments",
        sa.Column("experiment_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=256), unique=True, nullable=False),
        sa.Column("lifecycle_stage", sa.String(length=32)),
        sa.CheckConstraint("lifecycle_stage IN ('active', 'deleted')", name="experiments_lifecycle_stage"),
        sa.PrimaryKeyConstraint("experiment_id", name="experiment_pk"),
    )
    op.create_table(
        "metrics",
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("experiment_id", sa.Integer(), sa.ForeignKey("experiments.experiment_id")),
        sa.PrimaryKeyConstraint("key", "timestamp", "experiment_id", "value", name="metric_pk"),
    )
    op.add_column("metrics", sa.Column("step", sa.BigInteger(), nullable=False, server_default="0"))
    bind = op.get_bind()
    pk = sa.inspect(bind).get_pk_constraint("metrics")["name"]
    with op.batch_alter_table("metrics") as batch_op:
        batch_op.drop_constraint(constraint_name=pk, type_="primary")
        batch_op.create_primary_key("metric_pk", ["key", "timestamp", "step", "experiment_id", "value"])


def downgrade():
    op.drop_table("metrics")
    op.drop_table("experiments")
