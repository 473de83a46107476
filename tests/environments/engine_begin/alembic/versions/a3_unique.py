"""One project per address

Revision ID: a3
Revises: a2
"""

import sqlalchemy as sa
from alembic import op

revision = 'a3'
down_revision = 'a2'
branch_labels = None
depends_on = None


def upgrade():
    op.create_unique_constraint("uq_project_url", "project", ["url"])


def downgrade():
    op.drop_constraint("uq_project_url", "project")
