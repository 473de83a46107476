"""Pinned notes

Revision ID: 0c3
Revises: 0b2
"""

import sqlalchemy as sa
from alembic import op

revision = '0c3'
down_revision = '0b2'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("note", sa.Column("pinned_at", sa.DateTime))
    op.create_index("ix_note_pinned", "note", ["pinned_at"], postgresql_where=sa.text("pinned_at IS NOT NULL"))


def downgrade() -> None:
    op.drop_index("ix_note_pinned", table_name="note")
    op.drop_column("note", "pinned_at")
