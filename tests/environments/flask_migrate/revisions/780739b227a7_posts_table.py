"""posts table

Revision ID: 780739b227a7
Revises: e517276bb1c2
"""

import sqlalchemy as sa
from alembic import op
from microblog.types import IPAddressType, JSONText

revision = '780739b227a7'
down_revision = 'e517276bb1c2'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "post",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("body", sa.String(length=140)),
        sa.Column("extra", JSONText()),
        sa.Column("written_from", IPAddressType()),
        sa.Column("user_id", sa.Integer()),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"]),
        sa.PrimaryKeyConstraint("id"),
    )


def downgrade():
    op.drop_table("post")
