"""Create tasks"""

import sqlalchemy as sa
from alembic import op

revision = "task_0001"
down_revision = None
branch_labels = None
depends_on = None

TASK_TYPES = "'call', 'review', 'kyc', 'document', 'order', 'other'"


def upgrade() -> None:
    op.create_table(
        "tasks",
        sa.Column("task_id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=True),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("task_type", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="open", nullable=False),
        sa.Column("assigned_to", sa.Text(), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("source_event_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_tasks")),
        sa.UniqueConstraint("source_event_id", name=op.f("uq_tasks_source_event_id")),
        sa.CheckConstraint("length(btrim(title)) > 0", name=op.f("ck_tasks_title")),
        sa.CheckConstraint(f"task_type IN ({TASK_TYPES})", name=op.f("ck_tasks_task_type")),
        sa.CheckConstraint(
            "status IN ('open', 'in_progress', 'blocked', 'done', 'cancelled')", name=op.f("ck_tasks_status")
        ),
        sa.CheckConstraint("(status = 'done') = (completed_at IS NOT NULL)", name=op.f("ck_tasks_completed_at")),
    )
    op.create_index("ix_tasks_client", "tasks", ["client_id", "created_at"])


def downgrade() -> None:
    op.drop_table("tasks")
