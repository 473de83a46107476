"""Allow one primary per client

Of several open ones, the newest stays open.
"""

import sqlalchemy as sa
from alembic import op

revision = "relationship_0003"
down_revision = "relationship_0002"
branch_labels = None
depends_on = None

END_ALL_BUT_THE_NEWEST = """
UPDATE relationships AS older SET valid_to = greatest(older.valid_from, current_date), updated_at = now()
WHERE older.role = 'primary' AND older.valid_to IS NULL AND EXISTS (
    SELECT FROM relationships AS newer
    WHERE newer.client_id = older.client_id AND newer.role = 'primary' AND newer.valid_to IS NULL
      AND (newer.valid_from, newer.relationship_id) > (older.valid_from, older.relationship_id)
)
"""


def upgrade() -> None:
    op.execute(END_ALL_BUT_THE_NEWEST)
    op.create_index(
        "uq_relationships_one_primary",
        "relationships",
        ["client_id"],
        unique=True,
        postgresql_where=sa.text("role = 'primary' AND valid_to IS NULL"),
    )


# The relationships that were ended stay ended: which of them were open is not recorded.
def downgrade() -> None:
    op.drop_index("uq_relationships_one_primary", table_name="relationships")
