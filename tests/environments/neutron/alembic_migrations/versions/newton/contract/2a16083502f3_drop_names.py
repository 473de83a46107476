"""contract needs what expand made

Revision ID: 2a16083502f3
Revises: 4ffceebfada
"""

import sqlalchemy as sa
from alembic import op

revision = '2a16083502f3'
down_revision = '4ffceebfada'
branch_labels = None
depends_on = ('45f8dd33480b',)


def upgrade():
    op.create_foreign_key("fk_ports_qos", "ports", "qos_policies", ["qos_policy_id"], ["id"])
    op.drop_column("networks", "admin_state_up")


def downgrade():
    op.add_column("networks", sa.Column("admin_state_up", sa.Boolean))
    op.drop_constraint("fk_ports_qos", "ports", type_="foreignkey")
