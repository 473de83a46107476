"""Adds tables

Revision ID: 260dbcc8b680
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = '260dbcc8b680'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    conn = op.get_bind()
    if "flow" not in sa.inspect(conn).get_table_names():
        op.create_table(
            "flow",
            sa.Column("id", sa.CHAR(32), primary_key=True),
            sa.Column("name", sa.String(), nullable=False),
            sa.Column("data", sa.JSON(), nullable=True),
        )
        with op.batch_alter_table("flow") as batch_op:
            batch_op.create_index(batch_op.f("ix_flow_name"), ["name"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("flow") as batch_op:
        batch_op.drop_index(batch_op.f("ix_flow_name"))
    op.drop_table("flow")
