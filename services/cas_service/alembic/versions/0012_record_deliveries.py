"""Record up to which event anchors were delivered outside, so that a file that shrank is noticed"""

from alembic import context, op

revision = "audit_0012"
down_revision = "audit_0011"
branch_labels = None
depends_on = None

DELIVERIES = """
CREATE TABLE audit.deliveries (
    place text NOT NULL,
    seq bigint NOT NULL,
    delivered_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (place, seq)
)
"""

RECORD_DELIVERY = """
CREATE FUNCTION audit.record_delivery(place text, seq bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
INSERT INTO audit.deliveries (place, seq)
SELECT $1, anchor.seq FROM audit.anchors AS anchor WHERE anchor.seq = $2
ON CONFLICT DO NOTHING
$$
"""

REFUSE_CHANGES = """
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON audit.deliveries
FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER refuse_truncation BEFORE TRUNCATE ON audit.deliveries
FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
ALTER TABLE audit.deliveries ENABLE ALWAYS TRIGGER refuse_change;
ALTER TABLE audit.deliveries ENABLE ALWAYS TRIGGER refuse_truncation
"""

FUNCTION = "audit.record_delivery(text, bigint)"


def upgrade() -> None:
    op.execute(DELIVERIES)
    op.execute(REFUSE_CHANGES)
    op.execute(RECORD_DELIVERY)
    op.execute(f"REVOKE ALL ON FUNCTION {FUNCTION} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION {FUNCTION} TO cas_witness")
    op.execute("GRANT SELECT ON audit.deliveries TO cas_reader, cas_witness")
    for each in ("TABLE audit.deliveries", f"FUNCTION {FUNCTION}"):
        op.execute(f"ALTER {each} OWNER TO cas_owner")


def downgrade() -> None:
    op.execute(context.script.get_revision("audit_0003").module.REFUSE_TO_TAKE_BACK)
    op.execute(f"DROP FUNCTION {FUNCTION}")
    op.execute("DROP TABLE audit.deliveries")
