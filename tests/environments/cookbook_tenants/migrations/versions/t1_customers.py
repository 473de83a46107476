"""Customers

Revision ID: t1
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = 't1'
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    op.create_table("customer", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text))


def downgrade():
    op.drop_table("customer")
