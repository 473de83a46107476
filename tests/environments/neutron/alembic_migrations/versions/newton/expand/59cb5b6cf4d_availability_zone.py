"""Add availability zone

Revision ID: 59cb5b6cf4d
Revises: 45f8dd33480b
"""

import sqlalchemy as sa
from alembic import op

revision = '59cb5b6cf4d'
down_revision = '45f8dd33480b'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("networks", sa.Column("availability_zone_hints", sa.String(255)))


def downgrade():
    op.drop_column("networks", "availability_zone_hints")
