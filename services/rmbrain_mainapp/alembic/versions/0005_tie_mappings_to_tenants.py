"""Tie event_mappings to their tenant's plugins

A plugin that a tenant never had is added to it, switched off.
"""

from alembic import op

revision = "mainapp_0005"
down_revision = "mainapp_0004"
branch_labels = None
depends_on = None

ADD_MISSING_TENANT_PLUGINS = """
INSERT INTO tenant_plugins (tenant_id, plugin_id)
SELECT DISTINCT tenant_id, plugin_id FROM event_mappings
ON CONFLICT DO NOTHING
"""


def upgrade() -> None:
    op.execute(ADD_MISSING_TENANT_PLUGINS)
    op.create_foreign_key(
        op.f("fk_event_mappings_tenant_id"),
        "event_mappings",
        "tenant_plugins",
        ["tenant_id", "plugin_id"],
        ["tenant_id", "plugin_id"],
        ondelete="CASCADE",
        postgresql_not_valid=True,
    )
    op.drop_constraint(op.f("fk_event_mappings_plugin_id"), "event_mappings")


# The tenant plugins that were added stay: somebody may have switched them on since.
def downgrade() -> None:
    op.create_foreign_key(
        op.f("fk_event_mappings_plugin_id"),
        "event_mappings",
        "plugins",
        ["plugin_id"],
        ["plugin_id"],
        ondelete="CASCADE",
    )
    op.drop_constraint(op.f("fk_event_mappings_tenant_id"), "event_mappings")
