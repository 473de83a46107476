"""Rename the description and let it be longer

Revision ID: 33ae817a1ff4
Revises: 27c6a30d7c24
"""

import sqlalchemy as sa
from alembic import op

revision = '33ae817a1ff4'
down_revision = '27c6a30d7c24'
branch_labels = None
depends_on = None


def upgrade():
    op.alter_column("account", "description", new_column_name="remarks", type_=sa.Text())
    op.create_check_constraint("ck_account_name", "account", "length(name) > 0")


def downgrade():
    op.drop_constraint("ck_account_name", "account")
    op.alter_column("account", "remarks", new_column_name="description", type_=sa.Unicode(200))
