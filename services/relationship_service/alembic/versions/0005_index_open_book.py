"""Index the open book of an employee"""

import sqlalchemy as sa
from alembic import op

revision = "relationship_0005"
down_revision = "relationship_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_relationships_book",
        "relationships",
        ["employee_id", "role"],
        postgresql_where=sa.text("valid_to IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_relationships_book", table_name="relationships")
