"""the first root

Revision ID: 1975ea83b712
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = '1975ea83b712'
down_revision = None
branch_labels = ('core',)
depends_on = None


def upgrade():
    op.create_table("person", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text))


def downgrade():
    op.drop_table("person")
