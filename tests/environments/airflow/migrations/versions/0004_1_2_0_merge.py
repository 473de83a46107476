"""merge heads.

Revision ID: 05f30312d566
Revises: f2ca10b85618, 4446e08588
"""

import sqlalchemy as sa
from alembic import op

revision = '05f30312d566'
down_revision = ('f2ca10b85618', '4446e08588')
branch_labels = None
depends_on = None

airflow_version = "1.2.0"


def upgrade():
    pass


def downgrade():
    pass
