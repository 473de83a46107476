"""The ledger, step l2."""

import sqlalchemy as sa
from alembic import op

revision = "l2"
down_revision = "l1"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table("entry", sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True), sa.Column("account_id", sa.Integer, sa.ForeignKey("account.id")))
    op.execute("INSERT INTO account VALUES (1, current_user)")


def downgrade():
    op.drop_table("entry")
    op.execute("DELETE FROM account")
