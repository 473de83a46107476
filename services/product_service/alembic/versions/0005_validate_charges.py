"""Validate the limit of ongoing charges

Under a lock that lets reads and writes through.
"""

from alembic import op

revision = "product_0005"
down_revision = "product_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE products VALIDATE CONSTRAINT ck_products_ongoing_charges_percent")


# PostgreSQL cannot take a validation back; adding the constraint anew, not valid, is the state before.
def downgrade() -> None:
    op.drop_constraint(op.f("ck_products_ongoing_charges_percent"), "products")
    op.create_check_constraint(
        op.f("ck_products_ongoing_charges_percent"),
        "products",
        "ongoing_charges_percent BETWEEN 0 AND 20",
        postgresql_not_valid=True,
    )
