"""Loans

Revision ID: v2
Revises: v1
"""

import sqlalchemy as sa
from alembic import op

revision = 'v2'
down_revision = 'v1'
branch_labels = None
depends_on = None


def upgrade(reason):
    op.create_table("loan", sa.Column("isbn", sa.String(13), sa.ForeignKey("book.isbn")), sa.Column("reader", sa.Text))


def downgrade(reason):
    op.drop_table("loan")
