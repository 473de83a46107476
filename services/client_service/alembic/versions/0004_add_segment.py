"""Add segment to clients

Filled from the client type.
"""

import sqlalchemy as sa
from alembic import op

revision = "client_0004"
down_revision = "client_0003"
branch_labels = None
depends_on = None

BACKFILL = """
UPDATE clients SET segment = CASE WHEN client_type IN ('person', 'joint') THEN 'private' ELSE 'institutional' END
"""


def upgrade() -> None:
    op.add_column("clients", sa.Column("segment", sa.Text(), nullable=True))
    op.execute(BACKFILL)
    op.alter_column("clients", "segment", nullable=False)
    op.create_check_constraint(op.f("ck_clients_segment"), "clients", "segment IN ('private', 'institutional')")


def downgrade() -> None:
    op.drop_column("clients", "segment")
