"""a head that stays open

Revision ID: 66bf
Revises: 55af2cb1c267
"""

import sqlalchemy as sa
from alembic import op

revision = '66bf'
down_revision = '55af2cb1c267'
branch_labels = None
depends_on = None


def upgrade():
    op.create_index("ix_mail_person", "mail", ["person_id"])


def downgrade():
    op.drop_index("ix_mail_person", table_name="mail")
