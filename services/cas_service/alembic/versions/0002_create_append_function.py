"""Create audit.append_events, the one way into audit_events"""

from alembic import op

revision = "audit_0002"
down_revision = "audit_0001"
branch_labels = None
depends_on = None

# The head exists from the start and is locked by every append: locking the newest event instead would let the
# first two writers, and any two that read the same newest event, fork the chain.
CHAIN_HEAD = """
CREATE TABLE audit.chain_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seq bigint NOT NULL,
    hash text NOT NULL
)
"""

CONTINUE_AFTER_LAST_EVENT = """
INSERT INTO audit.chain_head (seq, hash)
SELECT coalesce(max(seq), 0), coalesce((array_agg(hash ORDER BY seq DESC))[1], repeat('0', 64))
FROM public.audit_events
"""

# UTC and microseconds, whatever the session's TimeZone and DateStyle are.
TIMESTAMP_TEXT = """
CREATE FUNCTION audit.timestamp_text(moment timestamptz) RETURNS text
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
RETURN to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
"""

# Over the values as they are stored, so that whoever reads the row can compute it again.
PAYLOAD_HASH = """
CREATE FUNCTION audit.payload_hash(event public.audit_events) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN encode(sha256(convert_to(jsonb_build_object(
    'format', 'audit-payload-1',
    'event_id', event.event_id, 'event_type', event.event_type,
    'occurred_at', audit.timestamp_text(event.occurred_at), 'source', event.source,
    'request_id', event.request_id, 'service', event.service, 'database', event.database, 'actor', event.actor,
    'from_revision', event.from_revision, 'to_revision', event.to_revision,
    'outcome', event.outcome, 'duration_ms', event.duration_ms, 'detail', event.detail
)::text, 'UTF8')), 'hex')
"""

EVENT_HASH = """
CREATE FUNCTION audit.event_hash(event public.audit_events) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN encode(sha256(convert_to(concat_ws('|', 'audit-chain-1', event.prev_hash, event.seq::text,
    audit.timestamp_text(event.recorded_at), event.payload_hash), 'UTF8')), 'hex')
"""

# `result` is stored, repeated (same id, same content: nothing was written) or conflict (same id, other content).
APPEND_EVENTS = """
CREATE FUNCTION audit.append_events(events jsonb)
RETURNS TABLE (event_id uuid, seq bigint, result text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    head audit.chain_head;
    incoming public.audit_events;
    known record;
BEGIN
    SELECT * INTO STRICT head FROM audit.chain_head FOR UPDATE;
    FOR incoming IN
        SELECT (jsonb_populate_record(NULL::public.audit_events, element.value)).*
        FROM jsonb_array_elements(events) WITH ORDINALITY AS element (value, position)
        ORDER BY element.position
    LOOP
        incoming.detail := coalesce(incoming.detail, '{}'::jsonb);
        incoming.payload_hash := audit.payload_hash(incoming);
        SELECT stored.seq, stored.payload_hash INTO known
        FROM public.audit_events AS stored WHERE stored.event_id = incoming.event_id;
        IF FOUND THEN
            RETURN QUERY SELECT incoming.event_id, known.seq,
                CASE WHEN known.payload_hash = incoming.payload_hash THEN 'repeated' ELSE 'conflict' END;
        ELSE
            incoming.seq := head.seq + 1;
            incoming.recorded_at := clock_timestamp();
            incoming.prev_hash := head.hash;
            incoming.hash := audit.event_hash(incoming);
            INSERT INTO public.audit_events SELECT incoming.*;
            head.seq := incoming.seq;
            head.hash := incoming.hash;
            RETURN QUERY SELECT incoming.event_id, incoming.seq, 'stored';
        END IF;
    END LOOP;
    UPDATE audit.chain_head SET seq = head.seq, hash = head.hash;
END
$$
"""


def upgrade() -> None:
    op.execute("CREATE SCHEMA audit")
    op.execute(CHAIN_HEAD)
    op.execute(CONTINUE_AFTER_LAST_EVENT)
    op.execute(TIMESTAMP_TEXT)
    op.execute(PAYLOAD_HASH)
    op.execute(EVENT_HASH)
    op.execute(APPEND_EVENTS)
    op.execute("REVOKE ALL ON FUNCTION audit.append_events(jsonb) FROM PUBLIC")


def downgrade() -> None:
    op.execute("DROP FUNCTION audit.append_events(jsonb)")
    op.execute("DROP FUNCTION audit.event_hash(public.audit_events)")
    op.execute("DROP FUNCTION audit.payload_hash(public.audit_events)")
    op.execute("DROP FUNCTION audit.timestamp_text(timestamptz)")
    op.execute("DROP TABLE audit.chain_head")
    op.execute("DROP SCHEMA audit")
