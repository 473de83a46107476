"""Events

Revision ID: c1
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = 'c1'
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    op.create_table("event", sa.Column("id", sa.Integer, primary_key=True), sa.Column("kind", sa.Text))
    op.execute("INSERT INTO event SELECT n FROM generate_series(1, 2500) n")


def downgrade():
    op.drop_table("event")
