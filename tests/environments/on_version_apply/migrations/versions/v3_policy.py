"""Row level security

Revision ID: v3
Revises: v2
"""

from alembic import op

revision = 'v3'
down_revision = 'v2'
branch_labels = None
depends_on = None


def upgrade(reason):
    op.execute("ALTER TABLE loan ENABLE ROW LEVEL SECURITY")
    op.execute("CREATE POLICY own_loans ON loan USING (reader = current_user)")


def downgrade(reason):
    op.execute("DROP POLICY own_loans ON loan")
    op.execute("ALTER TABLE loan DISABLE ROW LEVEL SECURITY")
