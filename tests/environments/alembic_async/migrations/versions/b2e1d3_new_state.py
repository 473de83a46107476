"""A state that PostgreSQL adds outside a transaction only

Revision ID: b2e1d3
Revises: a1f0c2
"""

from alembic import op

revision = 'b2e1d3'
down_revision = 'a1f0c2'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("ALTER TYPE order_state ADD VALUE IF NOT EXISTS 'cancelled'")


def downgrade() -> None:
    # PostgreSQL cannot take a value out of a type, so the type is exchanged.
    op.execute("ALTER TYPE order_state RENAME TO order_state_old")
    op.execute("CREATE TYPE order_state AS ENUM ('open', 'paid')")
    op.execute("ALTER TABLE orders ALTER state TYPE order_state USING state::text::order_state")
    op.execute("DROP TYPE order_state_old")
