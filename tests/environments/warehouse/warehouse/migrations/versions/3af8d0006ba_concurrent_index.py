"""Index the normalized names without blocking anybody

Revision ID: 3af8d0006ba
Revises: 283c68f2ab2
"""

import sqlalchemy as sa
from alembic import op

revision = '3af8d0006ba'
down_revision = '283c68f2ab2'
branch_labels = None
depends_on = None


def upgrade():
    # CREATE INDEX CONCURRENTLY cannot happen inside a transaction. We'll close
    # our transaction here and issue the statement.
    op.get_bind().commit()
    with op.get_context().autocommit_block():
        op.create_index(
            "packages_normalized_name",
            "packages",
            [sa.text("normalize_pep426_name(name)")],
            unique=True,
            if_not_exists=True,
            postgresql_concurrently=True,
        )


def downgrade():
    op.drop_index("packages_normalized_name", table_name="packages")
