"""Edit replace id integers in all models to use UUID instead

Revision ID: d98dd8ec85a3
Revises: e2412789c190
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = 'd98dd8ec85a3'
down_revision = 'e2412789c190'
branch_labels = None
depends_on = None


def upgrade():
    op.execute('CREATE EXTENSION IF NOT EXISTS "plpgsql"')
    op.add_column("user", sa.Column("new_id", postgresql.UUID(as_uuid=True), default=sa.text("gen_random_uuid()")))
    op.add_column("item", sa.Column("new_owner_id", postgresql.UUID(as_uuid=True), nullable=True))
    op.execute('UPDATE "user" SET new_id = gen_random_uuid()')
    op.execute('UPDATE item SET new_owner_id = (SELECT new_id FROM "user" WHERE "user".id = item.owner_id)')
    op.alter_column("user", "new_id", nullable=False)
    op.drop_constraint("item_owner_id_fkey", "item", type_="foreignkey")
    op.drop_column("item", "owner_id")
    op.alter_column("item", "new_owner_id", new_column_name="owner_id")
    op.drop_column("user", "id")
    op.alter_column("user", "new_id", new_column_name="id")
    op.create_primary_key("user_pkey", "user", ["id"])
    op.create_foreign_key("item_owner_id_fkey", "item", "user", ["owner_id"], ["id"])


def downgrade():
    op.drop_constraint("item_owner_id_fkey", "item", type_="foreignkey")
    op.drop_constraint("user_pkey", "user", type_="primary")
    op.drop_column("user", "id")
    op.add_column("user", sa.Column("id", sa.Integer, sa.Identity(), primary_key=True))
    op.create_primary_key("user_pkey", "user", ["id"])
    op.drop_column("item", "owner_id")
    op.add_column("item", sa.Column("owner_id", sa.Integer, nullable=False))
    op.create_foreign_key("item_owner_id_fkey", "item", "user", ["owner_id"], ["id"])
