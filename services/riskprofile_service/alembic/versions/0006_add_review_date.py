"""Add review date to risk profiles

A signed profile is reviewed two years later.
"""

import sqlalchemy as sa
from alembic import op

revision = "riskprofile_0006"
down_revision = "riskprofile_0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("risk_profiles", sa.Column("review_due", sa.Date(), nullable=True))
    op.execute(
        "UPDATE risk_profiles SET review_due = ((signed_at AT TIME ZONE 'UTC') + interval '2 years')::date"
        " WHERE signed_at IS NOT NULL"
    )
    op.create_index(
        "ix_risk_profiles_review", "risk_profiles", ["review_due"], postgresql_where=sa.text("status = 'in_force'")
    )


def downgrade() -> None:
    op.drop_column("risk_profiles", "review_due")
