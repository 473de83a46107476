"""Initial no-op expand script.

Revision ID: 30018084ec99
Revises: kilo
"""

import sqlalchemy as sa
from alembic import op

revision = '30018084ec99'
down_revision = 'kilo'
branch_labels = ('expand',)
depends_on = None


def upgrade():
    pass


def downgrade():
    pass
