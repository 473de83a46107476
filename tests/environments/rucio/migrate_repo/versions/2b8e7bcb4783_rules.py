"""rules, and a longer list of states

Revision ID: 2b8e7bcb4783
Revises: 1a29d6a9504c
"""

import sqlalchemy as sa
from alembic import context, op

revision = '2b8e7bcb4783'
down_revision = '1a29d6a9504c'
branch_labels = None
depends_on = None


def upgrade():
    schema = context.get_context().version_table_schema or ""
    op.create_table(
        "rules",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("subscription_id", sa.String(32), sa.ForeignKey(schema + ".subscriptions.id", name="RULES_SUBS_ID_FK")),
        schema=schema,
    )
    op.create_check_constraint("RULES_ID_CHK", "rules", "id <> ''", schema=schema)


def downgrade():
    schema = context.get_context().version_table_schema or ""
    op.drop_table("rules", schema=schema)
