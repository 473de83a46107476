"""A sequence and a partitioned table

Revision ID: 003
Revises: 002
"""

from alembic import op

revision = '003'
down_revision = '002'
branch_labels = None
depends_on = None


def upgrade():
    op.execute("CREATE SEQUENCE gispo.visit_number START 100")
    op.execute("CREATE TABLE gispo.visit (number int DEFAULT nextval('gispo.visit_number'), day date) PARTITION BY RANGE (day)")
    op.execute("CREATE TABLE gispo.visit_2025 PARTITION OF gispo.visit FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')")


def downgrade():
    op.execute("DROP TABLE gispo.visit")
    op.execute("DROP SEQUENCE gispo.visit_number")
