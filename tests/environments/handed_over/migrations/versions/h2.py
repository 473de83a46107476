"""Say who wrote them."""

import sqlalchemy as sa
from alembic import op

revision = "h2"
down_revision = "h1"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("document", sa.Column("author", sa.String(80), nullable=True))


def downgrade():
    op.drop_column("document", "author")
