"""Backfill in batches, committing each

Revision ID: 5988e3e8d2e
Revises: 3af8d0006ba
"""

import sqlalchemy as sa
from alembic import op

revision = '5988e3e8d2e'
down_revision = '3af8d0006ba'
branch_labels = None
depends_on = None

def _batches(conn):
    for start in range(0, 3000, 1000):
        conn.execute(
            sa.text("UPDATE packages SET stable_version = '1.0' WHERE id > :low AND id <= :high"),
            {"low": start, "high": start + 1000},
        )
        conn.commit()


def upgrade():
    conn = op.get_bind()
    conn.execute(sa.text("INSERT INTO packages (name) SELECT 'project-' || n FROM generate_series(1, 3000) n"))
    conn.commit()
    _batches(conn)
    op.alter_column("packages", "stable_version", nullable=False)


def downgrade():
    op.alter_column("packages", "stable_version", nullable=True)
    op.execute("DELETE FROM packages")
