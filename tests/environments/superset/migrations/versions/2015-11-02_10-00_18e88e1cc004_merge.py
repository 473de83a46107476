"""merging tags and owners

Revision ID: 18e88e1cc004
Revises: 289ce07647b, 1a48a5411020
"""

import sqlalchemy as sa
from alembic import op

revision = '18e88e1cc004'
down_revision = ('289ce07647b', '1a48a5411020')
branch_labels = None
depends_on = None


def upgrade():
    pass


def downgrade():
    pass
