"""Seal and retire only what anchors sign, and retire only once the seal itself is signed"""

from alembic import context, op

revision = "audit_0011"
down_revision = "audit_0010"
branch_labels = None
depends_on = None

# RFC 6962, section 2.1, as the anchors have it: `subtrees` holds the roots of the complete subtrees so far.
MERKLE_ROOT = r"""
CREATE FUNCTION audit.merkle_root(first_seq bigint, last_seq bigint) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    subtrees bytea[] := '{}';
    leaf text;
    top bytea;
    level bigint;
    leaves bigint := 0;
BEGIN
    FOR leaf IN
        SELECT event.hash FROM public.audit_events AS event
        WHERE event.seq BETWEEN first_seq AND last_seq ORDER BY event.seq
    LOOP
        top := sha256('\x00'::bytea || decode(leaf, 'hex'));
        level := leaves;
        WHILE level & 1 = 1 LOOP
            top := sha256('\x01'::bytea || subtrees[cardinality(subtrees)] || top);
            subtrees := subtrees[1:cardinality(subtrees) - 1];
            level := level >> 1;
        END LOOP;
        subtrees := array_append(subtrees, top);
        leaves := leaves + 1;
    END LOOP;
    top := coalesce(subtrees[cardinality(subtrees)], sha256(''::bytea));
    FOR position IN REVERSE cardinality(subtrees) - 1 .. 1 LOOP
        top := sha256('\x01'::bytea || subtrees[position] || top);
    END LOOP;
    RETURN encode(top, 'hex');
END
$$
"""

# PostgreSQL cannot check a signature. What it can check is that the rows are those over which the anchors' lines are.
REQUIRE_SIGNED_ROOTS = """
CREATE FUNCTION audit.require_signed_roots(segment audit.segments) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    part text[];
BEGIN
    FOR part IN
        SELECT string_to_array(anchor.line, '|') FROM audit.anchors AS anchor
        WHERE anchor.seq BETWEEN segment.first_seq AND segment.last_seq ORDER BY anchor.seq
    LOOP
        IF part[6] <> audit.merkle_root(part[3]::bigint - part[5]::bigint + 1, part[3]::bigint) THEN
            RAISE EXCEPTION USING ERRCODE = 'data_exception',
                MESSAGE = concat('the events up to ', part[3], ' are not those that their anchor signs');
        END IF;
    END LOOP;
    IF segment.merkle_root IS DISTINCT FROM audit.merkle_root(segment.first_seq, segment.last_seq)
        OR segment.file_sha256 IS NULL OR segment.file_sha256 !~ '^[0-9a-f]{64}$'
    THEN
        RAISE EXCEPTION USING ERRCODE = 'data_exception',
            MESSAGE = concat('the seal is not over the events ', segment.first_seq, ' to ', segment.last_seq);
    END IF;
END
$$
"""

# Before the seal is signed, nothing outside this database knows that the segment is in a file.
REQUIRE_SIGNED_SEAL = """
CREATE FUNCTION audit.require_signed_seal(segment audit.segments) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM public.audit_events AS event
        WHERE event.event_type = 'audit.segment_sealed' AND event.source = 'cas-audit'
        AND event.seq <= (SELECT max(anchor.seq) FROM audit.anchors AS anchor)
        AND event.detail @> jsonb_build_object('first_seq', segment.first_seq, 'last_seq', segment.last_seq,
            'last_hash', segment.last_hash, 'file_sha256', segment.file_sha256)
    ) THEN
        RAISE EXCEPTION USING ERRCODE = 'data_exception',
            MESSAGE = concat('no anchor signs yet that events ', segment.first_seq, ' to ', segment.last_seq,
                ' were sealed: retire them after the next anchor');
    END IF;
END
$$
"""

SEALED = "    INSERT INTO audit.segments VALUES (segment.*);\n"
CHECKED = "    PERFORM audit.require_signed_roots(segment);\n"
UNGUARDED = "    ALTER TABLE public.audit_events DISABLE TRIGGER refuse_change;\n"

FUNCTIONS = (
    "audit.merkle_root(bigint, bigint)",
    "audit.require_signed_roots(audit.segments)",
    "audit.require_signed_seal(audit.segments)",
)


def upgrade() -> None:
    before = context.script.get_revision("audit_0008").module
    for function in (MERKLE_ROOT, REQUIRE_SIGNED_ROOTS, REQUIRE_SIGNED_SEAL):
        op.execute(function)
    op.execute(_replaced(before.RECORD_SEGMENT).replace(SEALED, CHECKED + SEALED))
    guards = CHECKED + "    PERFORM audit.require_signed_seal(segment);\n"
    op.execute(_replaced(before.RETIRE_SEGMENT).replace(UNGUARDED, guards + UNGUARDED))
    for function in FUNCTIONS:
        op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
        op.execute(f"ALTER FUNCTION {function} OWNER TO cas_owner")


def downgrade() -> None:
    op.execute(context.script.get_revision("audit_0003").module.REFUSE_TO_TAKE_BACK)
    before = context.script.get_revision("audit_0008").module
    op.execute(_replaced(before.RECORD_SEGMENT))
    op.execute(_replaced(before.RETIRE_SEGMENT))
    for function in reversed(FUNCTIONS):
        op.execute(f"DROP FUNCTION {function}")


def _replaced(function: str) -> str:
    return function.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
