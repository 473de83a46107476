"""Full text search

Revision ID: 6c3d
Revises: 5b2c
"""

from alembic import op

revision = '6c3d'
down_revision = '5b2c'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE letter ADD search tsvector GENERATED ALWAYS AS (to_tsvector('simple', body)) STORED")
    op.execute("CREATE INDEX ix_letter_search ON letter USING gin (search)")


def downgrade() -> None:
    op.execute("DROP INDEX ix_letter_search")
    op.execute("ALTER TABLE letter DROP search")
