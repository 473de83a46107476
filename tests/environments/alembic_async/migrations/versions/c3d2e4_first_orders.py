"""First orders, read back through the connection

Revision ID: c3d2e4
Revises: b2e1d3
"""

import sqlalchemy as sa
from alembic import op

revision = 'c3d2e4'
down_revision = 'b2e1d3'
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    connection.execute(sa.text("INSERT INTO orders (state) SELECT 'cancelled' FROM generate_series(1, 25)"))
    count = connection.execute(sa.text("SELECT count(*) FROM orders WHERE state = :state"), {"state": "cancelled"}).scalar()
    if count != 25:
        raise RuntimeError(f"{count} orders")
    op.create_index("ix_orders_lines", "orders", ["lines"], postgresql_using="gin")


def downgrade() -> None:
    op.drop_index("ix_orders_lines", table_name="orders")
    op.execute("DELETE FROM orders")
