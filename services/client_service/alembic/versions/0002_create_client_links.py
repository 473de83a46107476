"""Create client_links"""

import sqlalchemy as sa
from alembic import op

revision = "client_0002"
down_revision = "client_0001"
branch_labels = None
depends_on = None

LINK_TYPES = "'spouse', 'parent', 'beneficial_owner', 'authorised_signatory', 'trustee', 'guarantor'"


def upgrade() -> None:
    op.create_table(
        "client_links",
        sa.Column("client_link_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("from_client_id", sa.Uuid(), nullable=False),
        sa.Column("to_client_id", sa.Uuid(), nullable=False),
        sa.Column("link_type", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Date(), server_default=sa.text("CURRENT_DATE"), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("client_link_id", name=op.f("pk_client_links")),
        sa.ForeignKeyConstraint(
            ["from_client_id"], ["clients.client_id"], name=op.f("fk_client_links_from_client_id"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["to_client_id"], ["clients.client_id"], name=op.f("fk_client_links_to_client_id"), ondelete="RESTRICT"
        ),
        sa.UniqueConstraint("from_client_id", "to_client_id", "link_type", "valid_from", name="uq_client_links_link"),
        sa.CheckConstraint(f"link_type IN ({LINK_TYPES})", name=op.f("ck_client_links_link_type")),
        sa.CheckConstraint("from_client_id <> to_client_id", name=op.f("ck_client_links_two_clients")),
        sa.CheckConstraint("valid_to >= valid_from", name=op.f("ck_client_links_period")),
    )
    op.create_index(op.f("ix_client_links_to_client_id_link_type"), "client_links", ["to_client_id", "link_type"])


def downgrade() -> None:
    op.drop_table("client_links")
