"""right of a fork

Revision ID: 5a3d2c
Revises: 3782d9986ced
"""

import sqlalchemy as sa
from alembic import op

revision = '5a3d2c'
down_revision = '3782d9986ced'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("payment", sa.Column("currency", sa.String(3)))


def downgrade():
    op.drop_column("payment", "currency")
