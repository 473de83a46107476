"""Validate the tie of event_mappings

Under a lock that lets reads and writes through.
"""

from alembic import op

revision = "mainapp_0006"
down_revision = "mainapp_0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE event_mappings VALIDATE CONSTRAINT fk_event_mappings_tenant_id")


# PostgreSQL cannot take a validation back; adding the constraint anew, not valid, is the state before.
def downgrade() -> None:
    op.drop_constraint(op.f("fk_event_mappings_tenant_id"), "event_mappings")
    op.create_foreign_key(
        op.f("fk_event_mappings_tenant_id"),
        "event_mappings",
        "tenant_plugins",
        ["tenant_id", "plugin_id"],
        ["tenant_id", "plugin_id"],
        ondelete="CASCADE",
        postgresql_not_valid=True,
    )
