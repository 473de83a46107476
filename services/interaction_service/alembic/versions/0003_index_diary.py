"""Index the diary of relationship managers"""

from alembic import op

revision = "interaction_0003"
down_revision = "interaction_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_interactions_diary", "interactions", ["relationship_manager_id", "occurred_at"])


def downgrade() -> None:
    op.drop_index("ix_interactions_diary", table_name="interactions")
