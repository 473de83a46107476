"""Find them by author."""

import sqlalchemy as sa
from alembic import op

revision = "h3"
down_revision = "h2"
branch_labels = None
depends_on = None


def upgrade():
    op.create_index("document_author", "document", ["author"])


def downgrade():
    op.drop_index("document_author", table_name="document")
