"""Make documents."""

import sqlalchemy as sa
from alembic import op

revision = "h1"
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    op.create_table("document", sa.Column("id", sa.Integer, primary_key=True), sa.Column("title", sa.Text))


def downgrade():
    op.drop_table("document")
