"""Create products"""

import sqlalchemy as sa
from alembic import op

revision = "product_0001"
down_revision = None
branch_labels = None
depends_on = None

ASSET_CLASSES = "'equity', 'bond', 'fund', 'structured', 'alternative', 'cash'"


def upgrade() -> None:
    op.create_table(
        "products",
        sa.Column("product_id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("isin", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("issuer_name", sa.Text(), nullable=False),
        sa.Column("asset_class", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("risk_class", sa.SmallInteger(), nullable=False),
        sa.Column("minimum_investment", sa.Numeric(18, 2), nullable=True),
        sa.Column("ongoing_charges_percent", sa.Numeric(7, 4), nullable=True),
        sa.Column("matures_on", sa.Date(), nullable=True),
        sa.Column("status", sa.Text(), server_default="draft", nullable=False),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("product_id", name=op.f("pk_products")),
        sa.UniqueConstraint("isin", name=op.f("uq_products_isin")),
        sa.CheckConstraint("isin ~ '^[A-Z]{2}[A-Z0-9]{9}[0-9]$'", name=op.f("ck_products_isin")),
        sa.CheckConstraint(f"asset_class IN ({ASSET_CLASSES})", name=op.f("ck_products_asset_class")),
        sa.CheckConstraint(
            "status IN ('draft', 'approved', 'suspended', 'withdrawn')", name=op.f("ck_products_status")
        ),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ck_products_currency")),
        sa.CheckConstraint("risk_class BETWEEN 1 AND 7", name=op.f("ck_products_risk_class")),
        sa.CheckConstraint("minimum_investment > 0", name=op.f("ck_products_minimum_investment")),
        sa.CheckConstraint("status <> 'approved' OR approved_at IS NOT NULL", name=op.f("ck_products_approved_at")),
    )
    op.create_index(op.f("ix_products_issuer_name"), "products", ["issuer_name"])


def downgrade() -> None:
    op.drop_table("products")
