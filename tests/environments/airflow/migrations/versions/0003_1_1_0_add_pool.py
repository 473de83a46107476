"""pools, made at the same time by somebody else.

Revision ID: 4446e08588
Revises: e3a246e0dc1
"""

import sqlalchemy as sa
from alembic import op

revision = '4446e08588'
down_revision = 'e3a246e0dc1'
branch_labels = None
depends_on = None

airflow_version = "1.1.0"


def upgrade():
    with op.batch_alter_table("task_instance") as batch_op:
        batch_op.add_column(sa.Column("pool", sa.String(length=50), nullable=True))
        batch_op.create_index("ti_state", ["state"])


def downgrade():
    with op.batch_alter_table("task_instance") as batch_op:
        batch_op.drop_index("ti_state")
        batch_op.drop_column("pool")
