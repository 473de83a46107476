"""Cells

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table("report_cell", sa.Column("report_id", sa.Integer, sa.ForeignKey("report.id")), sa.Column("value", sa.Numeric))


def downgrade():
    op.drop_table("report_cell")
