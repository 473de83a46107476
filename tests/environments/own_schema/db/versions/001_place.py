"""Places

Revision ID: 001
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = '001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    op.create_table("place", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text), schema="gispo")
    op.create_table("only_by_search_path", sa.Column("id", sa.Integer, primary_key=True))


def downgrade():
    op.drop_table("only_by_search_path")
    op.drop_table("place", schema="gispo")
