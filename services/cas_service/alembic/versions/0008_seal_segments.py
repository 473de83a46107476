"""Seal segments of the chain, and retire what is sealed, signed and exported"""

from alembic import context, op

revision = "audit_0008"
down_revision = "audit_0007"
branch_labels = None
depends_on = None

# A segment ends where an anchor does, so that the signature over its end outlives its rows.
SEGMENTS = """
CREATE TABLE audit.segments (
    first_seq bigint PRIMARY KEY,
    last_seq bigint NOT NULL UNIQUE REFERENCES audit.anchors (seq),
    prev_hash text NOT NULL,
    last_hash text NOT NULL,
    events bigint NOT NULL,
    merkle_root text NOT NULL,
    file_sha256 text NOT NULL,
    sealed_at timestamptz NOT NULL DEFAULT now(),
    sealed_by name NOT NULL
)
"""

RETIREMENTS = """
CREATE TABLE audit.retirements (
    first_seq bigint PRIMARY KEY REFERENCES audit.segments (first_seq),
    retired_at timestamptz NOT NULL DEFAULT now(),
    retired_by name NOT NULL
)
"""

# What is done to the record is in the record.
RECORD_DEED = """
CREATE FUNCTION audit.record_deed(deed text, segment audit.segments) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$
SELECT audit.append(jsonb_build_array(jsonb_build_object(
    'event_id', gen_random_uuid(), 'event_type', deed, 'occurred_at', clock_timestamp(), 'source', 'cas-audit',
    'actor', session_user, 'outcome', 'succeeded', 'detail', jsonb_build_object('actor_basis', 'database login',
        'first_seq', segment.first_seq, 'last_seq', segment.last_seq, 'last_hash', segment.last_hash,
        'file_sha256', segment.file_sha256))))
$$
"""

RECORD_SEGMENT = """
CREATE FUNCTION audit.record_segment(first_seq bigint, last_seq bigint, merkle_root text, file_sha256 text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    segment audit.segments;
BEGIN
    PERFORM FROM audit.chain FOR UPDATE;
    IF first_seq <> 1 + coalesce((SELECT max(sealed.last_seq) FROM audit.segments AS sealed), 0) THEN
        RAISE EXCEPTION 'a segment begins where the one before it ends' USING ERRCODE = 'data_exception';
    END IF;
    IF NOT EXISTS (SELECT FROM audit.anchors WHERE seq = last_seq) THEN
        RAISE EXCEPTION USING MESSAGE = concat('a segment ends at an anchor, and ', last_seq, ' is none'),
            ERRCODE = 'data_exception';
    END IF;
    segment := ROW(first_seq, last_seq,
        (SELECT event.prev_hash FROM public.audit_events AS event WHERE event.seq = first_seq),
        (SELECT event.hash FROM public.audit_events AS event WHERE event.seq = last_seq),
        (SELECT count(*) FROM public.audit_events AS event WHERE event.seq BETWEEN first_seq AND last_seq),
        merkle_root, file_sha256, now(), session_user);
    IF segment.events <> last_seq - first_seq + 1 THEN
        RAISE EXCEPTION USING MESSAGE = concat('events of ', first_seq, ' to ', last_seq, ' are missing'),
            ERRCODE = 'data_exception';
    END IF;
    INSERT INTO audit.segments VALUES (segment.*);
    PERFORM audit.record_deed('audit.segment_sealed', segment);
END
$$
"""

# The trigger is off for this transaction only, and its lock keeps every other writer out meanwhile.
RETIRE_SEGMENT = """
CREATE FUNCTION audit.retire_segment(first_seq bigint, file_sha256 text)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    segment audit.segments;
    deleted bigint;
BEGIN
    PERFORM FROM audit.chain_head FOR UPDATE;
    SELECT * INTO segment FROM audit.segments AS sealed
    WHERE sealed.first_seq = first_seq AND sealed.file_sha256 = file_sha256;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING MESSAGE = concat('no segment that begins at ', first_seq, ' was sealed in this file'),
            ERRCODE = 'data_exception';
    END IF;
    IF EXISTS (
        SELECT FROM audit.segments AS sealed LEFT JOIN audit.retirements AS retired USING (first_seq)
        WHERE sealed.first_seq < first_seq AND retired.first_seq IS NULL
    ) THEN
        RAISE EXCEPTION USING MESSAGE = concat('segments before ', first_seq, ' are still here: the oldest goes first'),
            ERRCODE = 'data_exception';
    END IF;
    ALTER TABLE public.audit_events DISABLE TRIGGER refuse_change;
    WITH gone AS (
        DELETE FROM public.audit_events AS event WHERE event.seq BETWEEN segment.first_seq AND segment.last_seq
        RETURNING event.event_id, event.seq, event.payload_hash
    )
    INSERT INTO audit.retired_events SELECT gone.event_id, gone.seq, gone.payload_hash FROM gone;
    GET DIAGNOSTICS deleted = ROW_COUNT;
    ALTER TABLE public.audit_events ENABLE ALWAYS TRIGGER refuse_change;
    IF deleted <> segment.events THEN
        RAISE EXCEPTION USING ERRCODE = 'data_exception',
            MESSAGE = concat('segment ', first_seq, ' holds ', deleted, ' events instead of ', segment.events);
    END IF;
    INSERT INTO audit.retirements VALUES (first_seq, now(), session_user);
    PERFORM audit.record_deed('audit.segment_retired', segment);
    RETURN deleted;
END
$$
"""

TABLES = ("audit.segments", "audit.retirements")
RECORDING = "audit.record_segment(bigint, bigint, text, text)"
RETIRING = "audit.retire_segment(bigint, text)"
DEED = "audit.record_deed(text, audit.segments)"


def upgrade() -> None:
    op.execute(SEGMENTS)
    op.execute(RETIREMENTS)
    op.execute(RECORD_DEED)
    op.execute(RECORD_SEGMENT)
    op.execute(RETIRE_SEGMENT)
    for table in TABLES:
        _refuse_changes(table)
        op.execute(f"GRANT SELECT ON {table} TO cas_reader, cas_witness")
        op.execute(f"ALTER TABLE {table} OWNER TO cas_owner")
    for function in (RECORDING, RETIRING, DEED):
        op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
        op.execute(f"ALTER FUNCTION {function} OWNER TO cas_owner")
    op.execute(f"GRANT EXECUTE ON FUNCTION {RECORDING} TO cas_witness")


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
    for function in (RETIRING, RECORDING, DEED):
        op.execute(f"DROP FUNCTION {function}")
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE {table}")
