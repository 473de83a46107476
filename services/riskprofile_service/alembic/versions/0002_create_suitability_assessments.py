"""Create suitability_assessments"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "riskprofile_0002"
down_revision = "riskprofile_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "suitability_assessments",
        sa.Column("suitability_assessment_id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("risk_profile_id", sa.Uuid(), nullable=False),
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("product_risk_class", sa.SmallInteger(), nullable=False),
        sa.Column("amount", sa.Numeric(18, 2), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("reasons", JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("assessed_by", sa.Text(), nullable=False),
        sa.Column("assessed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("suitability_assessment_id", name=op.f("pk_suitability_assessments")),
        sa.ForeignKeyConstraint(
            ["risk_profile_id"],
            ["risk_profiles.risk_profile_id"],
            name=op.f("fk_suitability_assessments_risk_profile_id"),
            ondelete="RESTRICT",
        ),
        sa.CheckConstraint(
            "product_risk_class BETWEEN 1 AND 7", name=op.f("ck_suitability_assessments_product_risk_class")
        ),
        sa.CheckConstraint("amount > 0", name=op.f("ck_suitability_assessments_amount")),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ck_suitability_assessments_currency")),
        sa.CheckConstraint(
            "verdict IN ('suitable', 'suitable_with_warning', 'unsuitable')",
            name=op.f("ck_suitability_assessments_verdict"),
        ),
        sa.CheckConstraint("jsonb_typeof(reasons) = 'array'", name=op.f("ck_suitability_assessments_reasons")),
    )
    op.create_index("ix_suitability_assessments_profile", "suitability_assessments", ["risk_profile_id", "assessed_at"])
    op.create_index("ix_suitability_assessments_product", "suitability_assessments", ["product_id", "verdict"])


def downgrade() -> None:
    op.drop_table("suitability_assessments")
