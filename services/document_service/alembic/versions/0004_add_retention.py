"""Add retention to documents"""

import sqlalchemy as sa
from alembic import op

revision = "document_0004"
down_revision = "document_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("documents", sa.Column("retain_until", sa.Date(), nullable=True))
    op.create_index(
        "ix_documents_retention", "documents", ["retain_until"], postgresql_where=sa.text("status = 'archived'")
    )


def downgrade() -> None:
    op.drop_index("ix_documents_retention", table_name="documents")
    op.drop_column("documents", "retain_until")
