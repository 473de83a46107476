"""qos policies

Revision ID: 45f8dd33480b
Revises: 30018084ec99
"""

import sqlalchemy as sa
from alembic import op

revision = '45f8dd33480b'
down_revision = '30018084ec99'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "qos_policies",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("rules", sa.Text),
    )
    op.add_column("ports", sa.Column("qos_policy_id", sa.String(36)))


def downgrade():
    op.drop_column("ports", "qos_policy_id")
    op.drop_table("qos_policies")
