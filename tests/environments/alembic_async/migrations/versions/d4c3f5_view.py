"""A view, a function and a trigger

Revision ID: d4c3f5
Revises: c3d2e4
"""

from alembic import op

revision = 'd4c3f5'
down_revision = 'c3d2e4'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE VIEW cancelled_orders AS SELECT id, placed_at FROM orders WHERE state = 'cancelled'")
    op.execute(
        """
        CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            NEW.placed_at := now();
            RETURN NEW;
        END $$
        """
    )
    op.execute("CREATE TRIGGER orders_touch BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION touch()")


def downgrade() -> None:
    op.execute("DROP TRIGGER orders_touch ON orders")
    op.execute("DROP FUNCTION touch()")
    op.execute("DROP VIEW cancelled_orders")
