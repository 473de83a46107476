"""Let documents replace each other

Each is replaced at most once, so that the versions of a document form a line.
"""

import sqlalchemy as sa
from alembic import op

revision = "document_0005"
down_revision = "document_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("documents", sa.Column("replaces_document_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_documents_replaces_document_id"),
        "documents",
        "documents",
        ["replaces_document_id"],
        ["document_id"],
        ondelete="RESTRICT",
    )
    op.create_check_constraint(
        op.f("ck_documents_replaces_another"), "documents", "replaces_document_id <> document_id"
    )
    op.create_index("uq_documents_replaced_once", "documents", ["replaces_document_id"], unique=True)


def downgrade() -> None:
    op.drop_column("documents", "replaces_document_id")
