"""Create risk_profiles"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "riskprofile_0001"
down_revision = None
branch_labels = None
depends_on = None

TOLERANCES = "'defensive', 'conservative', 'balanced', 'growth', 'aggressive'"


def upgrade() -> None:
    op.create_table(
        "risk_profiles",
        sa.Column("risk_profile_id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("profile_version", sa.Integer(), nullable=False),
        sa.Column("tolerance", sa.Text(), nullable=False),
        sa.Column("maximum_risk_class", sa.SmallInteger(), nullable=False),
        sa.Column("horizon_years", sa.SmallInteger(), nullable=False),
        sa.Column("maximum_loss_percent", sa.Numeric(5, 2), nullable=False),
        sa.Column("answers", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("status", sa.Text(), server_default="draft", nullable=False),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("risk_profile_id", name=op.f("pk_risk_profiles")),
        sa.UniqueConstraint("client_id", "profile_version", name=op.f("uq_risk_profiles_client_id_profile_version")),
        sa.CheckConstraint("profile_version > 0", name=op.f("ck_risk_profiles_profile_version")),
        sa.CheckConstraint(f"tolerance IN ({TOLERANCES})", name=op.f("ck_risk_profiles_tolerance")),
        sa.CheckConstraint("maximum_risk_class BETWEEN 1 AND 7", name=op.f("ck_risk_profiles_maximum_risk_class")),
        sa.CheckConstraint("horizon_years BETWEEN 0 AND 60", name=op.f("ck_risk_profiles_horizon_years")),
        sa.CheckConstraint(
            "maximum_loss_percent BETWEEN 0 AND 100", name=op.f("ck_risk_profiles_maximum_loss_percent")
        ),
        sa.CheckConstraint("jsonb_typeof(answers) = 'object'", name=op.f("ck_risk_profiles_answers")),
        sa.CheckConstraint(
            "status IN ('draft', 'in_force', 'superseded', 'expired')", name=op.f("ck_risk_profiles_status")
        ),
        sa.CheckConstraint("status <> 'in_force' OR signed_at IS NOT NULL", name=op.f("ck_risk_profiles_signed")),
    )
    op.create_index(
        "uq_risk_profiles_in_force",
        "risk_profiles",
        ["client_id"],
        unique=True,
        postgresql_where=sa.text("status = 'in_force'"),
    )


def downgrade() -> None:
    op.drop_table("risk_profiles")
