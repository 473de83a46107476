"""Books

Revision ID: v1
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = 'v1'
down_revision = None
branch_labels = None
depends_on = None


def upgrade(reason):
    op.create_table("book", sa.Column("isbn", sa.String(13), primary_key=True), sa.Column("title", sa.Text))


def downgrade(reason):
    op.drop_table("book")
