"""Add urgency to tasks

What regulation asks for starts higher.
"""

import sqlalchemy as sa
from alembic import op

revision = "task_0004"
down_revision = "task_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tasks", sa.Column("urgency", sa.SmallInteger(), nullable=True))
    op.execute("UPDATE tasks SET urgency = CASE WHEN task_type IN ('kyc', 'review') THEN 4 ELSE 3 END")
    op.alter_column("tasks", "urgency", server_default=sa.text("3"), nullable=False)
    op.create_check_constraint(op.f("ck_tasks_urgency"), "tasks", "urgency BETWEEN 1 AND 5")


def downgrade() -> None:
    op.drop_column("tasks", "urgency")
