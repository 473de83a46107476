"""create vertex builds

Revision ID: 0d60fcbd4e8e
Revises: 63b9c451fd30
"""

import sqlalchemy as sa
from alembic import op

revision = '0d60fcbd4e8e'
down_revision = '63b9c451fd30'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "vertex_build",
        sa.Column("build_id", sa.Integer(), sa.Identity(), primary_key=True),
        sa.Column("flow_id", sa.CHAR(32), nullable=False),
        sa.Column("valid", sa.BOOLEAN(), nullable=False),
    )
    op.execute(sa.text("INSERT INTO vertex_build (flow_id, valid) VALUES ('0', true)"))


def downgrade() -> None:
    op.drop_table("vertex_build")
