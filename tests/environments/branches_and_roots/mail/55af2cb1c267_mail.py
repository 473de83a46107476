"""a third root that needs a whole branch by its label

Revision ID: 55af2cb1c267
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = '55af2cb1c267'
down_revision = None
branch_labels = ('mail', 'post')
depends_on = ('core',)


def upgrade():
    op.create_table("mail", sa.Column("id", sa.Integer, primary_key=True), sa.Column("person_id", sa.Integer, sa.ForeignKey("person.id")))


def downgrade():
    op.drop_table("mail")
