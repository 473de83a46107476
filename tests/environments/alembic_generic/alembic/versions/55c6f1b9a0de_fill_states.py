"""First accounts, and none without a state

Revision ID: 55c6f1b9a0de
Revises: 33ae817a1ff4
"""

import sqlalchemy as sa
from alembic import op

revision = '55c6f1b9a0de'
down_revision = '33ae817a1ff4'
branch_labels = None
depends_on = None


def upgrade():
    account = sa.table("account", sa.column("id", sa.Integer), sa.column("name", sa.String))
    op.bulk_insert(account, [{"id": 1, "name": "cash"}, {"id": 2, "name": "100% bank: 'savings'"}])
    op.execute(account.update().where(account.c.id == 1).values(name="cash box"))
    op.alter_column("account", "state", nullable=False)


def downgrade():
    op.alter_column("account", "state", nullable=True)
    op.execute("DELETE FROM account WHERE id IN (1, 2)")
