"""migrate user column to tags

Revision ID: 90e64c465722
Revises: 451aebb31d03
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import orm

revision = '90e64c465722'
down_revision = '451aebb31d03'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "tags",
        sa.Column("key", sa.String(length=250), primary_key=True),
        sa.Column("value", sa.String(length=250)),
        sa.Column("experiment_id", sa.Integer(), primary_key=True),
    )
    bind = op.get_bind()
    session = orm.Session(bind=bind)
    session.execute(sa.text("INSERT INTO experiments (name, lifecycle_stage) VALUES ('Default', 'active')"))
    session.execute(sa.text("INSERT INTO tags SELECT 'user', 'ada', experiment_id FROM experiments"))
    session.commit()


def downgrade():
    op.drop_table("tags")
    op.execute("DELETE FROM experiments")
