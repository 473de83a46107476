"""The ledger, step l1."""

import sqlalchemy as sa
from alembic import op

revision = "l1"
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    op.create_table("account", sa.Column("id", sa.Integer, primary_key=True), sa.Column("owner", sa.Text, nullable=False))


def downgrade():
    op.drop_table("account")
