"""Index the work list of an employee

Built while tasks stays readable and writable.
"""

import sqlalchemy as sa
from alembic import op

revision = "task_0005"
down_revision = "task_0004"
branch_labels = None
depends_on = None


# Alone in its revision: it commits on its own, so nothing else could be rolled back with it.
def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.create_index(
            "ix_tasks_work_list",
            "tasks",
            ["assigned_to", "due_at"],
            postgresql_where=sa.text("status IN ('open', 'in_progress', 'blocked')"),
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index("ix_tasks_work_list", table_name="tasks", postgresql_concurrently=True)
