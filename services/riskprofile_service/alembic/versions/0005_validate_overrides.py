"""Validate that overrides are explained

Under a lock that lets reads and writes through.
"""

from alembic import op

revision = "riskprofile_0005"
down_revision = "riskprofile_0004"
branch_labels = None
depends_on = None

TABLE = "suitability_assessments"


def upgrade() -> None:
    op.execute(f"ALTER TABLE {TABLE} VALIDATE CONSTRAINT ck_suitability_assessments_override_explained")


# PostgreSQL cannot take a validation back; adding the constraint anew, not valid, is the state before.
def downgrade() -> None:
    op.drop_constraint(op.f("ck_suitability_assessments_override_explained"), TABLE)
    op.create_check_constraint(
        op.f("ck_suitability_assessments_override_explained"),
        TABLE,
        "(overridden_by IS NULL) = (override_reason IS NULL)",
        postgresql_not_valid=True,
    )
