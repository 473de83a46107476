"""Let tasks have subtasks"""

import sqlalchemy as sa
from alembic import op

revision = "task_0003"
down_revision = "task_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tasks", sa.Column("parent_task_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_tasks_parent_task_id"), "tasks", "tasks", ["parent_task_id"], ["task_id"], ondelete="CASCADE"
    )
    op.create_check_constraint(op.f("ck_tasks_parent_is_another"), "tasks", "parent_task_id <> task_id")
    op.create_index(op.f("ix_tasks_parent_task_id"), "tasks", ["parent_task_id"])


def downgrade() -> None:
    op.drop_column("tasks", "parent_task_id")
