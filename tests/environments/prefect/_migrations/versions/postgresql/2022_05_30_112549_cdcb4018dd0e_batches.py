"""Data in batches

Revision ID: cdcb4018dd0e
Revises: b75d279ba985
"""

import sqlalchemy as sa
from alembic import op

revision = 'cdcb4018dd0e'
down_revision = 'b75d279ba985'
branch_labels = None
depends_on = None


def upgrade():
    connection = op.get_bind()
    connection.execute(sa.text("INSERT INTO flow (name) SELECT 'flow-' || n FROM generate_series(1, 700) n"))
    batch_size = 500
    while True:
        with op.get_context().autocommit_block():
            result = connection.execute(
                sa.text("UPDATE flow SET tags = '[\"old\"]' WHERE id IN (SELECT id FROM flow WHERE tags = '[]' LIMIT :size)"),
                {"size": batch_size},
            )
            if result.rowcount <= 0:
                break


def downgrade():
    op.execute("DELETE FROM flow")
