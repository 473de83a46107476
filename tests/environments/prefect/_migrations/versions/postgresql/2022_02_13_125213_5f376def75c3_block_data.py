"""Block data

Revision ID: 5f376def75c3
Revises: 25f4b90a7a42
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '5f376def75c3'
down_revision = '25f4b90a7a42'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "flow_run",
        sa.Column("id", postgresql.UUID(), server_default=sa.text("(gen_random_uuid())"), primary_key=True),
        sa.Column("flow_id", postgresql.UUID(), sa.ForeignKey("flow.id", ondelete="cascade"), nullable=False),
        sa.Column("expected_start_time", sa.TIMESTAMP(timezone=True)),
    )


def downgrade():
    op.drop_table("flow_run")
