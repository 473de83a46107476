"""Bans

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table("forum_ban", sa.Column("user_id", sa.Text, primary_key=True))


def downgrade():
    op.drop_table("forum_ban")
