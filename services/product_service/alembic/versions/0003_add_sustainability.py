"""Add sustainability to products

Funds start in article 6, the class without a claim.
"""

import sqlalchemy as sa
from alembic import op

revision = "product_0003"
down_revision = "product_0002"
branch_labels = None
depends_on = None

CLASSES = "'article_6', 'article_8', 'article_9', 'not_applicable'"


def upgrade() -> None:
    op.add_column("products", sa.Column("sustainability", sa.Text(), nullable=True))
    op.execute(
        "UPDATE products SET sustainability = CASE asset_class WHEN 'fund' THEN 'article_6' ELSE 'not_applicable' END"
    )
    op.alter_column("products", "sustainability", nullable=False)
    op.create_check_constraint(op.f("ck_products_sustainability"), "products", f"sustainability IN ({CLASSES})")


def downgrade() -> None:
    op.drop_column("products", "sustainability")
