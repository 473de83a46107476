"""The ledger, step l3."""

import sqlalchemy as sa
from alembic import op

revision = "l3"
down_revision = "l2"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("entry", sa.Column("amount", sa.Numeric(12, 2), server_default="0"))


def downgrade():
    op.drop_column("entry", "amount")
