"""Raw SQL with everything that is hard to quote

Revision ID: 002
Revises: 001
"""

from alembic import op

revision = '002'
down_revision = '001'
branch_labels = None
depends_on = None


def upgrade():
    op.execute("ALTER TABLE place ADD share text DEFAULT '100%' CHECK (share LIKE '%\\%')")
    op.execute(
        """
        DO $$
        BEGIN
            EXECUTE format('COMMENT ON COLUMN gispo.place.share IS %L', 'a:b ''quoted'' % {braces}');
        END $$
        """
    )


def downgrade():
    op.execute("ALTER TABLE place DROP share")
