"""a second root that needs the first

Revision ID: 3782d9986ced
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = '3782d9986ced'
down_revision = None
branch_labels = ('payments',)
depends_on = ('1975ea83b712',)


def upgrade():
    op.create_table("payment", sa.Column("id", sa.Integer, primary_key=True), sa.Column("person_id", sa.Integer, sa.ForeignKey("person.id")))


def downgrade():
    op.drop_table("payment")
