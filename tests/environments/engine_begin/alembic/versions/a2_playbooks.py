"""Playbooks

Revision ID: a2
Revises: a1
"""

import sqlalchemy as sa
from alembic import op

revision = 'a2'
down_revision = 'a1'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table("playbook", sa.Column("id", sa.Integer, primary_key=True), sa.Column("project_id", sa.Integer, sa.ForeignKey("project.id")))
    op.execute("INSERT INTO project (url) VALUES ('git://one'), ('git://two')")


def downgrade():
    op.drop_table("playbook")
    op.execute("DELETE FROM project")
