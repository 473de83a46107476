"""Limit ongoing charges of new products

What is stored already is checked by product_0005, without a lock that stops writers.
"""

import sqlalchemy as sa
from alembic import op

revision = "product_0004"
down_revision = "product_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_check_constraint(
        op.f("ck_products_ongoing_charges_percent"),
        "products",
        "ongoing_charges_percent BETWEEN 0 AND 20",
        postgresql_not_valid=True,
    )
    op.create_index(
        "ix_products_shelf",
        "products",
        ["asset_class", "currency", "risk_class"],
        postgresql_where=sa.text("status = 'approved'"),
    )


def downgrade() -> None:
    op.drop_index("ix_products_shelf", table_name="products")
    op.drop_constraint(op.f("ck_products_ongoing_charges_percent"), "products")
