"""Posts

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table("forum_post", sa.Column("id", sa.Integer, primary_key=True), sa.Column("topic_id", sa.Integer, sa.ForeignKey("forum_topic.id")))


def downgrade():
    op.drop_table("forum_post")
