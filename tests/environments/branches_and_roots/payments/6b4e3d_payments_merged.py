"""the fork merged

Revision ID: 6b4e3d
Revises: 4f2c1b, 5a3d2c
"""

import sqlalchemy as sa
from alembic import op

revision = '6b4e3d'
down_revision = ('4f2c1b', '5a3d2c')
branch_labels = None
depends_on = None


def upgrade():
    op.create_check_constraint("ck_money", "payment", "(cents IS NULL) = (currency IS NULL)")


def downgrade():
    op.drop_constraint("ck_money", "payment")
