"""and another one

Revision ID: 77c0
Revises: 55af2cb1c267
"""

import sqlalchemy as sa
from alembic import op

revision = '77c0'
down_revision = '55af2cb1c267'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("mail", sa.Column("sent", sa.Boolean, server_default=sa.true()))


def downgrade():
    op.drop_column("mail", "sent")
