"""Indexes that block nobody

Revision ID: b75d279ba985
Revises: 5f376def75c3
"""

import sqlalchemy as sa
from alembic import op

revision = 'b75d279ba985'
down_revision = '5f376def75c3'
branch_labels = None
depends_on = None


def upgrade():
    with op.get_context().autocommit_block():
        op.execute("CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_flow_run__start ON flow_run (expected_start_time DESC)")
        op.create_index("gin_flow_tags", "flow", ["tags"], postgresql_using="gin", postgresql_concurrently=True)


def downgrade():
    with op.get_context().autocommit_block():
        op.drop_index("gin_flow_tags", table_name="flow", postgresql_concurrently=True)
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_flow_run__start")
