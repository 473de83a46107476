"""Search vectors

Revision ID: e3c4
Revises: d2b3
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = 'e3c4'
down_revision = 'd2b3'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("incident", sa.Column("search_vector", postgresql.TSVECTOR()))
    op.create_index("ix_incident_search", "incident", ["search_vector"], postgresql_using="gin")


def downgrade():
    op.drop_index("ix_incident_search", table_name="incident")
    op.drop_column("incident", "search_vector")
