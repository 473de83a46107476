"""Index audit_events by what auditors ask"""

from alembic import context, op

revision = "audit_0004"
down_revision = "audit_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_audit_events_request_id_seq"), "audit_events", ["request_id", "seq"])
    op.create_index(op.f("ix_audit_events_service_seq"), "audit_events", ["service", "seq"])
    op.create_index(op.f("ix_audit_events_event_type_seq"), "audit_events", ["event_type", "seq"])
    op.create_index(op.f("ix_audit_events_occurred_at"), "audit_events", ["occurred_at"])


def downgrade() -> None:
    op.execute(context.script.get_revision("audit_0003").module.REFUSE_TO_TAKE_BACK)
    op.drop_index(op.f("ix_audit_events_occurred_at"), table_name="audit_events")
    op.drop_index(op.f("ix_audit_events_event_type_seq"), table_name="audit_events")
    op.drop_index(op.f("ix_audit_events_service_seq"), table_name="audit_events")
    op.drop_index(op.f("ix_audit_events_request_id_seq"), table_name="audit_events")
