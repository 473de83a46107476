"""subscriptions

Revision ID: 1a29d6a9504c
Revises:
"""

import sqlalchemy as sa
from alembic import context, op

revision = '1a29d6a9504c'
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    if context.get_context().dialect.name in ["oracle", "mysql", "postgresql"]:
        schema = context.get_context().version_table_schema or ""
        op.create_table(
            "subscriptions",
            sa.Column("id", sa.String(32)),
            sa.Column("name", sa.String(64), nullable=False),
            sa.Column("state", sa.Enum("A", "I", name="SUBSCRIPTIONS_STATE_CHK", schema=schema)),
            schema=schema,
        )
        op.create_primary_key("SUBSCRIPTIONS_PK", "subscriptions", ["id"], schema=schema)


def downgrade():
    schema = context.get_context().version_table_schema or ""
    op.drop_table("subscriptions", schema=schema)
    op.execute('DROP TYPE %s."SUBSCRIPTIONS_STATE_CHK"' % schema)
