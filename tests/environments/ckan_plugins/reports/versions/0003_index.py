"""An index

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade():
    op.create_index("ix_report_cell", "report_cell", ["report_id"])


def downgrade():
    op.drop_index("ix_report_cell", table_name="report_cell")
