"""Add max length for string(varchar) fields

Revision ID: 9c0a54914c78
Revises: d98dd8ec85a3
"""

import sqlalchemy as sa
from alembic import op

revision = '9c0a54914c78'
down_revision = 'd98dd8ec85a3'
branch_labels = None
depends_on = None


def upgrade():
    op.alter_column("user", "email", existing_type=sa.String(), type_=sa.String(length=255), existing_nullable=False)
    op.alter_column("item", "title", existing_type=sa.String(), type_=sa.String(length=255), existing_nullable=False)


def downgrade():
    op.alter_column("user", "email", existing_type=sa.String(length=255), type_=sa.String(), existing_nullable=False)
    op.alter_column("item", "title", existing_type=sa.String(length=255), type_=sa.String(), existing_nullable=False)
