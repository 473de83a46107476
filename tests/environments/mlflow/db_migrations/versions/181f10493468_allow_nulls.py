"""allow nulls for metric values

Revision ID: 181f10493468
Revises: 90e64c465722
"""

import sqlalchemy as sa
from alembic import op

revision = '181f10493468'
down_revision = '90e64c465722'
branch_labels = None
depends_on = None


def upgrade():
    with op.batch_alter_table("metrics") as batch_op:
        batch_op.add_column(sa.Column("is_nan", sa.Boolean(create_constraint=False), nullable=False, server_default=sa.sql.expression.false()))
        batch_op.create_index("index_metrics_experiment_id", ["experiment_id"])


def downgrade():
    with op.batch_alter_table("metrics") as batch_op:
        batch_op.drop_index("index_metrics_experiment_id")
        batch_op.drop_column("is_nan")
