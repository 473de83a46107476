"""create account table

Revision ID: 1975ea83b712
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = '1975ea83b712'
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "account",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(50), nullable=False),
        sa.Column("description", sa.Unicode(200)),
        sa.Column("state", sa.Enum("new", "active", "closed", name="account_state"), server_default="new"),
    )


def downgrade():
    op.drop_table("account")
    op.execute("DROP TYPE account_state")
