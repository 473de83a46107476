"""Statements that refuse to run in a transaction

Revision ID: m3
Revises: m2
"""

from alembic import op

revision = 'm3'
down_revision = 'm2'
branch_labels = None
depends_on = None


def upgrade():
    op.execute("ALTER TABLE sample SET (fillfactor = 70)")
    op.execute("VACUUM sample")


def downgrade():
    op.execute("ALTER TABLE sample RESET (fillfactor)")
