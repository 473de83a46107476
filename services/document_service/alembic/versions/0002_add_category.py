"""Add category to documents

Filled from what titles say.
"""

import sqlalchemy as sa
from alembic import op

revision = "document_0002"
down_revision = "document_0001"
branch_labels = None
depends_on = None

BACKFILL = """
UPDATE documents SET category = CASE
    WHEN title ~* '(passport|identity|kyc)' THEN 'identification'
    WHEN title ~* '(contract|agreement|mandate)' THEN 'contract'
    WHEN title ~* '(tax|crs|fatca)' THEN 'tax'
    WHEN title ~* '(report|statement|valuation)' THEN 'report'
    WHEN title ~* '(letter|e-?mail)' THEN 'correspondence'
    ELSE 'other'
END
WHERE category IS NULL
"""

CATEGORIES = "'identification', 'contract', 'tax', 'report', 'correspondence', 'other'"


def upgrade() -> None:
    op.add_column("documents", sa.Column("category", sa.Text(), nullable=True))
    op.execute(BACKFILL)
    op.alter_column("documents", "category", server_default="other", nullable=False)
    op.create_check_constraint(op.f("ck_documents_category"), "documents", f"category IN ({CATEGORIES})")
    op.create_index("ix_documents_client", "documents", ["client_id", "category", "created_at"])


def downgrade() -> None:
    op.drop_index("ix_documents_client", table_name="documents")
    op.drop_column("documents", "category")
