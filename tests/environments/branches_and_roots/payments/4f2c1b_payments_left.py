"""left of a fork

Revision ID: 4f2c1b
Revises: 3782d9986ced
"""

import sqlalchemy as sa
from alembic import op

revision = '4f2c1b'
down_revision = '3782d9986ced'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("payment", sa.Column("cents", sa.Integer))


def downgrade():
    op.drop_column("payment", "cents")
