"""Pallets

Revision ID: e1
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = 'e1'
down_revision = None
branch_labels = None
depends_on = None

def upgrade_warehouse():
    op.create_table("pallet", sa.Column("id", sa.Integer, primary_key=True), sa.Column("rack", sa.String(8)))


def downgrade_warehouse():
    op.drop_table("pallet")


def upgrade(engine_name):
    globals()["upgrade_%s" % engine_name]()


def downgrade(engine_name):
    globals()["downgrade_%s" % engine_name]()
