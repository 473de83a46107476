"""comments

Revision ID: 3345511706b8
Revises: 2b8e7bcb4783
"""

import sqlalchemy as sa
from alembic import context, op

revision = '3345511706b8'
down_revision = '2b8e7bcb4783'
branch_labels = None
depends_on = None


def upgrade():
    schema = context.get_context().version_table_schema + "."
    op.add_column("rules", sa.Column("comments", sa.String(255)), schema=schema[:-1])
    op.execute("ALTER TABLE " + schema + "rules ALTER COLUMN comments TYPE varchar(400)")


def downgrade():
    schema = context.get_context().version_table_schema
    op.drop_column("rules", "comments", schema=schema)
