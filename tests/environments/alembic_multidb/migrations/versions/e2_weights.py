"""Weights

Revision ID: e2
Revises: e1
"""

import sqlalchemy as sa
from alembic import op

revision = 'e2'
down_revision = 'e1'
branch_labels = None
depends_on = None

def upgrade_warehouse():
    op.add_column("pallet", sa.Column("grams", sa.BigInteger, nullable=False, server_default="0"))


def downgrade_warehouse():
    op.drop_column("pallet", "grams")


def upgrade(engine_name):
    globals()["upgrade_%s" % engine_name]()


def downgrade(engine_name):
    globals()["downgrade_%s" % engine_name]()
