"""email addresses

Revision ID: 27c6a30d7c24
Revises: 1975ea83b712
"""

import sqlalchemy as sa
from alembic import op

revision = '27c6a30d7c24'
down_revision = '1975ea83b712'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("person", sa.Column("email", sa.Text))


def downgrade():
    op.drop_column("person", "email")
