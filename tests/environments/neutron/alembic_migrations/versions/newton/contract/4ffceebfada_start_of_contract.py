"""Initial no-op contract script.

Revision ID: 4ffceebfada
Revises: kilo
"""

import sqlalchemy as sa
from alembic import op

revision = '4ffceebfada'
down_revision = 'kilo'
branch_labels = ('contract',)
depends_on = None


def upgrade():
    pass


def downgrade():
    pass
