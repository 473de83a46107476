"""Projects

Revision ID: a1
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = 'a1'
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    op.create_table("project", sa.Column("id", sa.Integer, sa.Identity(always=True), primary_key=True), sa.Column("url", sa.Text))


def downgrade():
    op.drop_table("project")
