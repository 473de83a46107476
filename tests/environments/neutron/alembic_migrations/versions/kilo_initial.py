"""kilo_initial

Revision ID: kilo
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = 'kilo'
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "networks",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("name", sa.String(255)),
        sa.Column("admin_state_up", sa.Boolean),
    )
    op.create_table(
        "ports",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("network_id", sa.String(36), sa.ForeignKey("networks.id"), nullable=False),
        sa.Column("mac_address", sa.String(32), nullable=False),
    )


def downgrade():
    op.drop_table("ports")
    op.drop_table("networks")
