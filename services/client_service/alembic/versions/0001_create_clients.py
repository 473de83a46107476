"""Create clients"""

import sqlalchemy as sa
from alembic import op

revision = "client_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "clients",
        sa.Column("client_id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("client_number", sa.Text(), nullable=False),
        sa.Column("client_type", sa.Text(), nullable=False),
        sa.Column("legal_name", sa.Text(), nullable=False),
        sa.Column("date_of_birth", sa.Date(), nullable=True),
        sa.Column("domicile_country", sa.Text(), nullable=False),
        sa.Column("reference_currency", sa.Text(), server_default="CHF", nullable=False),
        sa.Column("status", sa.Text(), server_default="prospect", nullable=False),
        sa.Column("relationship_manager_id", sa.Text(), nullable=True),
        sa.Column("kyc_review_due", sa.Date(), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_clients")),
        sa.UniqueConstraint("client_number", name=op.f("uq_clients_client_number")),
        sa.CheckConstraint("client_number ~ '^C[0-9]{8}$'", name=op.f("ck_clients_client_number")),
        sa.CheckConstraint(
            "client_type IN ('person', 'joint', 'company', 'trust', 'foundation')", name=op.f("ck_clients_client_type")
        ),
        sa.CheckConstraint(
            "status IN ('prospect', 'onboarding', 'active', 'dormant', 'closed')", name=op.f("ck_clients_status")
        ),
        sa.CheckConstraint("length(btrim(legal_name)) > 0", name=op.f("ck_clients_legal_name")),
        sa.CheckConstraint("domicile_country ~ '^[A-Z]{2}$'", name=op.f("ck_clients_domicile_country")),
        sa.CheckConstraint("reference_currency ~ '^[A-Z]{3}$'", name=op.f("ck_clients_reference_currency")),
    )
    op.create_index("ix_clients_portfolio", "clients", ["relationship_manager_id", "status", "legal_name"])


def downgrade() -> None:
    op.drop_table("clients")
