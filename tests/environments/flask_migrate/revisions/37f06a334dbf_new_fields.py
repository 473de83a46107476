"""new fields in user model

Revision ID: 37f06a334dbf
Revises: 780739b227a7
"""

import sqlalchemy as sa
from alembic import op

revision = '37f06a334dbf'
down_revision = '780739b227a7'
branch_labels = None
depends_on = None


def upgrade():
    with op.batch_alter_table("user", schema=None) as batch_op:
        batch_op.add_column(sa.Column("about_me", sa.String(length=140), nullable=True))
        batch_op.alter_column("username", existing_type=sa.String(64), type_=sa.String(80))
    op.execute("INSERT INTO \"user\" (username, email) VALUES ('susan', 'susan@example.com')")


def downgrade():
    op.execute("DELETE FROM \"user\"")
    with op.batch_alter_table("user", schema=None) as batch_op:
        batch_op.alter_column("username", existing_type=sa.String(80), type_=sa.String(64))
        batch_op.drop_column("about_me")
