"""Batches on a second connection of the revision's own

Revision ID: c3
Revises: c2
"""

import sqlalchemy as sa
from alembic import op

revision = 'c3'
down_revision = 'c2'
branch_labels = None
depends_on = None


def upgrade():
    engine = op.get_bind().engine
    with engine.connect() as connection, connection.begin():
        connection.execute(sa.text("CREATE TABLE IF NOT EXISTS event_kind (name text)"))
    print("a revision that prints %s" % ("x" * 100_000))
    op.execute("UPDATE event SET kind = 'login'")


def downgrade():
    op.drop_table("event_kind")
