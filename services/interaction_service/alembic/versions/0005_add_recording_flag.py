"""Add recording flag to interactions

Only calls can be recorded.
"""

import sqlalchemy as sa
from alembic import op

revision = "interaction_0005"
down_revision = "interaction_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "interactions", sa.Column("is_recorded", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.create_check_constraint(
        op.f("ck_interactions_recordable_channel"),
        "interactions",
        "NOT is_recorded OR channel IN ('phone', 'video')",
    )


def downgrade() -> None:
    op.drop_column("interactions", "is_recorded")
