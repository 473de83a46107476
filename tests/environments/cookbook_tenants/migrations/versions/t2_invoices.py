"""Invoices

Revision ID: t2
Revises: t1
"""

import sqlalchemy as sa
from alembic import op

revision = 't2'
down_revision = 't1'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "invoice",
        sa.Column("number", sa.String(20), primary_key=True),
        sa.Column("customer_id", sa.Integer, sa.ForeignKey("customer.id"), nullable=False),
    )


def downgrade():
    op.drop_table("invoice")
