"""Add transfers between accounts

Revision ID: 27c6a30d7c24
Revises: ae1027a6acf
"""

import sqlalchemy as sa
from alembic import op

revision = '27c6a30d7c24'
down_revision = 'ae1027a6acf'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "transfer",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("source_id", sa.Integer, sa.ForeignKey("account.id", ondelete="RESTRICT"), nullable=False),
        sa.Column("target_id", sa.Integer, sa.ForeignKey("account.id", ondelete="RESTRICT"), nullable=False),
        sa.Column("amount", sa.Numeric(18, 2), nullable=False),
        sa.CheckConstraint("amount > 0", name="ck_transfer_amount"),
        comment="Money that moved",
    )


def downgrade():
    op.drop_table("transfer")
