"""an index where there is none yet

Revision ID: 2591d77e9831
Revises: 18e88e1cc004
"""

import sqlalchemy as sa
from alembic import op

revision = '2591d77e9831'
down_revision = '18e88e1cc004'
branch_labels = None
depends_on = None

def table_has_index(table, index):
    return any(each["name"] == index for each in sa.inspect(op.get_bind()).get_indexes(table))


def upgrade():
    if not table_has_index("slice_owner", "idx_owner"):
        op.create_index("idx_owner", "slice_owner", ["owner"])


def downgrade():
    if table_has_index("slice_owner", "idx_owner"):
        op.drop_index("idx_owner", table_name="slice_owner")
