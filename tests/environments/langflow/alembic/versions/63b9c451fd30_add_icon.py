"""Add icon and colour

Revision ID: 63b9c451fd30
Revises: 260dbcc8b680
"""

import sqlalchemy as sa
from alembic import op

revision = '63b9c451fd30'
down_revision = '260dbcc8b680'
branch_labels = None
depends_on = None


def upgrade() -> None:
    conn = op.get_bind()
    columns = [column["name"] for column in sa.inspect(conn).get_columns("flow")]
    with op.batch_alter_table("flow", schema=None) as batch_op:
        if "icon" not in columns:
            batch_op.add_column(sa.Column("icon", sa.String(), nullable=True))
        batch_op.create_unique_constraint("uq_flow_name", ["name"])


def downgrade() -> None:
    with op.batch_alter_table("flow", schema=None) as batch_op:
        batch_op.drop_constraint("uq_flow_name", type_="unique")
        batch_op.drop_column("icon")
