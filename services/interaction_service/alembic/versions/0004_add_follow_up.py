"""Add follow-up to interactions"""

import sqlalchemy as sa
from alembic import op

revision = "interaction_0004"
down_revision = "interaction_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("interactions", sa.Column("follow_up_due", sa.Date(), nullable=True))
    op.add_column("interactions", sa.Column("follow_up_owner", sa.Text(), nullable=True))
    op.create_check_constraint(
        op.f("ck_interactions_follow_up_has_owner"),
        "interactions",
        "follow_up_due IS NULL OR follow_up_owner IS NOT NULL",
    )
    op.create_index(
        "ix_interactions_follow_up",
        "interactions",
        ["follow_up_owner", "follow_up_due"],
        postgresql_where=sa.text("follow_up_due IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_column("interactions", "follow_up_owner")
    op.drop_column("interactions", "follow_up_due")
