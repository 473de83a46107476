"""Record overrides of assessments

The rule binds new rows now; what is stored already is checked by riskprofile_0005.
"""

import sqlalchemy as sa
from alembic import op

revision = "riskprofile_0004"
down_revision = "riskprofile_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("suitability_assessments", sa.Column("overridden_by", sa.Text(), nullable=True))
    op.add_column("suitability_assessments", sa.Column("override_reason", sa.Text(), nullable=True))
    op.create_check_constraint(
        op.f("ck_suitability_assessments_override_explained"),
        "suitability_assessments",
        "(overridden_by IS NULL) = (override_reason IS NULL)",
        postgresql_not_valid=True,
    )


def downgrade() -> None:
    op.drop_column("suitability_assessments", "override_reason")
    op.drop_column("suitability_assessments", "overridden_by")
