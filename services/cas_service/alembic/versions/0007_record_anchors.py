"""Record the chain's name, the keys that sign it, and the anchors they signed"""

from alembic import context, op

revision = "audit_0007"
down_revision = "audit_0006"
branch_labels = None
depends_on = None

CHAIN = """
CREATE TABLE audit.chain (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    chain_id uuid NOT NULL DEFAULT gen_random_uuid()
)
"""

SIGNING_KEYS = """
CREATE TABLE audit.signing_keys (
    number integer PRIMARY KEY,
    key_id text NOT NULL UNIQUE,
    public_key text NOT NULL,
    after_seq bigint NOT NULL,
    rotation text,
    signed_by_old text,
    signed_by_new text,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    CHECK (num_nulls(rotation, signed_by_old, signed_by_new) = CASE number WHEN 1 THEN 3 ELSE 0 END)
)
"""

# A second anchor with the same predecessor would be a fork.
ANCHORS = """
CREATE TABLE audit.anchors (
    seq bigint PRIMARY KEY,
    line text NOT NULL,
    signature text NOT NULL,
    sha256 text NOT NULL UNIQUE,
    previous_sha256 text NOT NULL UNIQUE,
    key_id text NOT NULL REFERENCES audit.signing_keys (key_id),
    recorded_at timestamptz NOT NULL DEFAULT now()
)
"""

# False: another replica was first. PostgreSQL cannot check the signature; whoever reads it does.
RECORD_ANCHOR = """
CREATE FUNCTION audit.record_anchor(line text, signature text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    part text[] := string_to_array(line, '|');
    last audit.anchors;
BEGIN
    PERFORM FROM audit.chain WHERE chain_id::text = part[2] FOR UPDATE;
    IF NOT FOUND OR part[1] <> 'audit-anchor-1' OR cardinality(part) <> 9 THEN
        RAISE EXCEPTION 'this is no anchor of this chain' USING ERRCODE = 'data_exception';
    END IF;
    SELECT * INTO last FROM audit.anchors ORDER BY seq DESC LIMIT 1;
    IF part[7] <> coalesce(last.sha256, repeat('0', 64)) THEN
        RETURN false;
    END IF;
    IF part[9] IS DISTINCT FROM (SELECT key_id FROM audit.signing_keys ORDER BY number DESC LIMIT 1) THEN
        RAISE EXCEPTION USING MESSAGE = concat('key ', part[9], ' is not the newest key of this chain'),
            ERRCODE = 'data_exception';
    END IF;
    IF part[3]::bigint - part[5]::bigint <> coalesce(last.seq, 0)
        OR NOT EXISTS (SELECT FROM public.audit_events WHERE seq = part[3]::bigint AND hash = part[4])
    THEN
        RAISE EXCEPTION USING MESSAGE = concat('the anchor at seq ', part[3], ' does not fit the chain'),
            ERRCODE = 'data_exception';
    END IF;
    INSERT INTO audit.anchors (seq, line, signature, sha256, previous_sha256, key_id)
    VALUES (part[3]::bigint, line, signature, encode(sha256(convert_to(line, 'UTF8')), 'hex'), part[7], part[9]);
    RETURN true;
END
$$
"""

# False: another replica or another person was first.
RECORD_KEY = """
CREATE FUNCTION audit.record_key(
    number integer, key_id text, public_key text, after_seq bigint,
    rotation text, signed_by_old text, signed_by_new text
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM FROM audit.chain FOR UPDATE;
    IF number <> 1 + (SELECT count(*) FROM audit.signing_keys)
        OR after_seq <> coalesce((SELECT max(seq) FROM audit.anchors), 0)
    THEN
        RETURN false;
    END IF;
    INSERT INTO audit.signing_keys
    VALUES (number, key_id, public_key, after_seq, rotation, signed_by_old, signed_by_new);
    RETURN true;
END
$$
"""

TABLES = ("audit.chain", "audit.signing_keys", "audit.anchors")
FUNCTIONS = (
    "audit.record_anchor(text, text)",
    "audit.record_key(integer, text, text, bigint, text, text, text)",
)


def upgrade() -> None:
    op.execute(CHAIN)
    op.execute("INSERT INTO audit.chain DEFAULT VALUES")
    op.execute(SIGNING_KEYS)
    op.execute(ANCHORS)
    op.execute(RECORD_ANCHOR)
    op.execute(RECORD_KEY)
    for table in TABLES:
        _refuse_changes(table)
        op.execute(f"GRANT SELECT ON {table} TO cas_reader, cas_witness")
        op.execute(f"ALTER TABLE {table} OWNER TO cas_owner")
    op.execute("GRANT SELECT ON audit.chain_head TO cas_witness")
    for function in FUNCTIONS:
        op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO cas_witness")
        op.execute(f"ALTER FUNCTION {function} OWNER TO cas_owner")


def _refuse_changes(table: str) -> None:
    op.execute(
        f"CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION audit.refuse_change()"
    )
    op.execute(
        f"CREATE TRIGGER refuse_truncation BEFORE TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()"
    )
    for trigger in ("refuse_change", "refuse_truncation"):
        op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")


def downgrade() -> None:
    op.execute(context.script.get_revision("audit_0003").module.REFUSE_TO_TAKE_BACK)
    op.execute("REVOKE SELECT ON audit.chain_head FROM cas_witness")
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE {table}")
