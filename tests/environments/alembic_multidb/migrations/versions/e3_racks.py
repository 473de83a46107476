"""Racks

Revision ID: e3
Revises: e2
"""

import sqlalchemy as sa
from alembic import op

revision = 'e3'
down_revision = 'e2'
branch_labels = None
depends_on = None

def upgrade_warehouse():
    op.create_table("rack", sa.Column("name", sa.String(8), primary_key=True))
    op.create_foreign_key("fk_pallet_rack", "pallet", "rack", ["rack"], ["name"])


def downgrade_warehouse():
    op.drop_constraint("fk_pallet_rack", "pallet", type_="foreignkey")
    op.drop_table("rack")


def upgrade(engine_name):
    globals()["upgrade_%s" % engine_name]()


def downgrade(engine_name):
    globals()["downgrade_%s" % engine_name]()
