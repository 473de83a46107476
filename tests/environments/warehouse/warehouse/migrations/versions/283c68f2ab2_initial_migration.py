"""Initial Migration

Revision ID: 283c68f2ab2
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = '283c68f2ab2'
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "packages",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("stable_version", sa.Text),
    )
    op.execute(
        """
        CREATE FUNCTION normalize_pep426_name(text) RETURNS text AS $$
            SELECT lower(regexp_replace($1, '(\\.|_)', '-', 'ig'))
        $$ LANGUAGE SQL IMMUTABLE RETURNS NULL ON NULL INPUT
        """
    )


def downgrade():
    op.execute("DROP FUNCTION normalize_pep426_name(text)")
    op.drop_table("packages")
