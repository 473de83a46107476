"""A revision that ends its transaction by itself

Revision ID: c2
Revises: c1
"""

from alembic import op

revision = 'c2'
down_revision = 'c1'
branch_labels = None
depends_on = None


def upgrade():
    op.execute("ALTER TABLE event ADD at timestamptz")
    op.execute("COMMIT")
    op.execute("ALTER TABLE event ADD source text")


def downgrade():
    op.execute("ALTER TABLE event DROP source")
    op.execute("COMMIT")
    op.execute("ALTER TABLE event DROP at")
