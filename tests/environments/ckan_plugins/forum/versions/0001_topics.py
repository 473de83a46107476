"""Topics

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    op.create_table("forum_topic", sa.Column("id", sa.Integer, primary_key=True), sa.Column("title", sa.Text))


def downgrade():
    op.drop_table("forum_topic")
