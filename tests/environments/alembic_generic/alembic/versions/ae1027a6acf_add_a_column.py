"""Add a column

Revision ID: ae1027a6acf
Revises: 1975ea83b712
"""

import sqlalchemy as sa
from alembic import op

revision = 'ae1027a6acf'
down_revision = '1975ea83b712'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("account", sa.Column("last_transaction_date", sa.DateTime(timezone=True)))
    op.create_index("ix_account_name", "account", ["name"], unique=True)


def downgrade():
    op.drop_index("ix_account_name", table_name="account")
    op.drop_column("account", "last_transaction_date")
