"""An index that blocks nobody

Revision ID: m2
Revises: m1
"""

from alembic import op

revision = 'm2'
down_revision = 'm1'
branch_labels = None
depends_on = None


def upgrade():
    op.execute("CREATE INDEX CONCURRENTLY ix_sample_at ON sample (at)")


def downgrade():
    op.execute("DROP INDEX CONCURRENTLY ix_sample_at")
