"""tags

Revision ID: 289ce07647b
Revises: 5a7bad26f2a7
"""

import sqlalchemy as sa
from alembic import op

revision = '289ce07647b'
down_revision = '5a7bad26f2a7'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table("tag", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(250), unique=True))


def downgrade():
    op.drop_table("tag")
