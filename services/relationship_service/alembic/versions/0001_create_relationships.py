"""Create relationships"""

import sqlalchemy as sa
from alembic import op

revision = "relationship_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "relationships",
        sa.Column("relationship_id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("employee_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("team_id", sa.Text(), nullable=True),
        sa.Column("revenue_share_percent", sa.Numeric(5, 2), server_default=sa.text("0"), nullable=False),
        sa.Column("valid_from", sa.Date(), server_default=sa.text("CURRENT_DATE"), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("relationship_id", name=op.f("pk_relationships")),
        sa.UniqueConstraint("client_id", "employee_id", "role", "valid_from", name="uq_relationships_relationship"),
        sa.CheckConstraint(
            "role IN ('primary', 'deputy', 'specialist', 'assistant')", name=op.f("ck_relationships_role")
        ),
        sa.CheckConstraint("valid_to >= valid_from", name=op.f("ck_relationships_period")),
        sa.CheckConstraint(
            "revenue_share_percent BETWEEN 0 AND 100", name=op.f("ck_relationships_revenue_share_percent")
        ),
    )


def downgrade() -> None:
    op.drop_table("relationships")
