"""Record conflicts, and give the payload as text

The encoding stays: payload_text is what payload_hash has always hashed.
"""

from alembic import context, op

revision = "audit_0005"
down_revision = "audit_0004"
branch_labels = None
depends_on = None

PAYLOAD_TEXT = """
CREATE FUNCTION audit.payload_text(event public.audit_events) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN jsonb_build_object(
    'format', 'audit-payload-1',
    'event_id', event.event_id, 'event_type', event.event_type,
    'occurred_at', audit.timestamp_text(event.occurred_at), 'source', event.source,
    'request_id', event.request_id, 'service', event.service, 'database', event.database, 'actor', event.actor,
    'from_revision', event.from_revision, 'to_revision', event.to_revision,
    'outcome', event.outcome, 'duration_ms', event.duration_ms, 'detail', event.detail
)::text
"""

PAYLOAD_HASH = """
CREATE OR REPLACE FUNCTION audit.payload_hash(event public.audit_events) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN encode(sha256(convert_to(audit.payload_text(event), 'UTF8')), 'hex')
"""

# A body after RETURN is bound when it is created and needs no search_path; without one PostgreSQL can inline it,
# which makes verifying several times as fast.
INLINED = ("audit.timestamp_text(timestamptz)", "audit.event_hash(public.audit_events)")

# What a repeat is known by when its row was retired (audit_0008): otherwise the same would happen twice.
RETIRED_EVENTS = """
CREATE TABLE audit.retired_events (
    event_id uuid PRIMARY KEY,
    seq bigint NOT NULL,
    payload_hash text NOT NULL
)
"""
REFUSE_CHANGES = """
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON audit.retired_events
FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER refuse_truncation BEFORE TRUNCATE ON audit.retired_events
FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
ALTER TABLE audit.retired_events ENABLE ALWAYS TRIGGER refuse_change;
ALTER TABLE audit.retired_events ENABLE ALWAYS TRIGGER refuse_truncation;
"""

# Says which fields differ, unless the row was retired, and never what they hold: what was refused must not enter by the
# back door.
CONFLICT = """
CREATE FUNCTION audit.conflict(known public.audit_events, refused public.audit_events) RETURNS public.audit_events
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    conflict public.audit_events;
    differing jsonb;
BEGIN
    IF known.event_type IS NOT NULL THEN
        SELECT jsonb_agg(field.key ORDER BY field.key) INTO differing
        FROM jsonb_each(audit.payload_text(known)::jsonb) AS field
        WHERE field.value IS DISTINCT FROM audit.payload_text(refused)::jsonb -> field.key;
    END IF;
    conflict.event_id := left(encode(sha256(convert_to(concat_ws('|', 'audit-conflict-1',
        known.payload_hash, refused.payload_hash), 'UTF8')), 'hex'), 32)::uuid;
    conflict.event_type := 'audit.conflict';
    conflict.occurred_at := clock_timestamp();
    conflict.source := 'cas-audit';
    conflict.request_id := known.request_id;
    conflict.service := known.service;
    conflict.database := known.database;
    conflict.outcome := 'conflict';
    conflict.detail := jsonb_strip_nulls(jsonb_build_object('event_id', known.event_id, 'seq', known.seq,
        'differing', differing, 'stored_payload_hash', known.payload_hash,
        'refused_payload_hash', refused.payload_hash));
    conflict.payload_hash := audit.payload_hash(conflict);
    RETURN conflict;
END
$$
"""

# What needs no lock, so that writers do it side by side. OFFSET keeps each event from being read once per column.
INCOMING = """
CREATE FUNCTION audit.incoming(events jsonb) RETURNS public.audit_events[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN (
    SELECT coalesce(array_agg(jsonb_populate_record(
        sent.event, jsonb_build_object('payload_hash', audit.payload_hash(sent.event))
    ) ORDER BY sent.position), '{}')
    FROM (
        SELECT element.position, jsonb_populate_record(NULL::public.audit_events, element.value
            || jsonb_build_object('detail', coalesce(nullif(element.value -> 'detail', 'null'), '{}'))) AS event
        FROM jsonb_array_elements(events) WITH ORDINALITY AS element (value, position)
        OFFSET 0
    ) AS sent
)
"""

# `result` is stored, repeated (same id, same content: nothing was written) or conflict (same id, other content: that
# it was refused is recorded, once). A writer that stops before its COMMIT would keep everybody else waiting.
# Only of the years 1 to 9999 does timestamp_text, and so the hash, tell one from another.
APPEND = """
CREATE FUNCTION audit.append(events jsonb)
RETURNS TABLE (event_id uuid, seq bigint, result text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    incoming public.audit_events[] := audit.incoming(events);
    head audit.chain_head;
    event public.audit_events;
    known public.audit_events;
BEGIN
    PERFORM set_config('idle_in_transaction_session_timeout', '10s', true);
    SELECT * INTO STRICT head FROM audit.chain_head FOR UPDATE;
    FOREACH event IN ARRAY incoming LOOP
        IF event.occurred_at NOT BETWEEN '0001-01-01 00:00Z' AND '9999-12-31 23:59:59.999999Z' THEN
            RAISE EXCEPTION 'occurred_at must have a year from 1 to 9999' USING ERRCODE = 'data_exception';
        END IF;
        SELECT * INTO known FROM public.audit_events AS stored WHERE stored.event_id = event.event_id;
        IF NOT FOUND THEN
            SELECT retired.event_id, retired.seq, retired.payload_hash
            INTO known.event_id, known.seq, known.payload_hash
            FROM audit.retired_events AS retired WHERE retired.event_id = event.event_id;
        END IF;
        IF known.payload_hash = event.payload_hash THEN
            RETURN QUERY SELECT known.event_id, known.seq, 'repeated';
            CONTINUE;
        ELSIF known.event_id IS NOT NULL THEN
            RETURN QUERY SELECT known.event_id, known.seq, 'conflict';
            event := audit.conflict(known, event);
            CONTINUE WHEN EXISTS (SELECT FROM public.audit_events AS stored WHERE stored.event_id = event.event_id)
                OR EXISTS (SELECT FROM audit.retired_events AS retired WHERE retired.event_id = event.event_id);
        ELSE
            RETURN QUERY SELECT event.event_id, head.seq + 1, 'stored';
        END IF;
        event.seq := head.seq + 1;
        event.recorded_at := clock_timestamp();
        event.prev_hash := head.hash;
        event.hash := audit.event_hash(event);
        INSERT INTO public.audit_events (seq, event_id, event_type, occurred_at, recorded_at, source, request_id,
            service, database, actor, from_revision, to_revision, outcome, duration_ms, detail,
            payload_hash, prev_hash, hash)
        VALUES (event.seq, event.event_id, event.event_type, event.occurred_at, event.recorded_at, event.source,
            event.request_id, event.service, event.database, event.actor, event.from_revision, event.to_revision,
            event.outcome, event.duration_ms, event.detail, event.payload_hash, event.prev_hash, event.hash);
        head.seq := event.seq;
        head.hash := event.hash;
    END LOOP;
    UPDATE audit.chain_head SET seq = head.seq, hash = head.hash;
END
$$
"""

# Nobody else speaks for the audit: a forged audit.segment_retired would explain missing rows away.
APPEND_EVENTS = """
CREATE FUNCTION audit.append_events(events jsonb)
RETURNS TABLE (event_id uuid, seq bigint, result text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF jsonb_path_exists(events, '$[*] ? (@.event_type starts with "audit." || @.source == "cas-audit")') THEN
        RAISE EXCEPTION 'what cas-audit says of itself is recorded by the audit itself'
            USING ERRCODE = 'data_exception';
    END IF;
    RETURN QUERY SELECT * FROM audit.append(events);
END
$$
"""


def upgrade() -> None:
    op.execute("DROP FUNCTION audit.append_events(jsonb)")
    for function in INLINED:
        op.execute(f"ALTER FUNCTION {function} PARALLEL SAFE RESET search_path")
    op.execute(PAYLOAD_TEXT)
    op.execute(PAYLOAD_HASH)
    op.execute(RETIRED_EVENTS)
    op.execute(REFUSE_CHANGES)
    op.execute(CONFLICT)
    op.execute(INCOMING)
    op.execute(APPEND)
    op.execute(APPEND_EVENTS)
    op.execute("REVOKE ALL ON FUNCTION audit.append_events(jsonb) FROM PUBLIC")


def downgrade() -> None:
    op.execute(context.script.get_revision("audit_0003").module.REFUSE_TO_TAKE_BACK)
    before = context.script.get_revision("audit_0002").module
    op.execute("DROP FUNCTION audit.append_events(jsonb)")
    op.execute("DROP FUNCTION audit.append(jsonb)")
    op.execute("DROP FUNCTION audit.incoming(jsonb)")
    op.execute("DROP TABLE audit.retired_events")
    op.execute("DROP FUNCTION audit.conflict(public.audit_events, public.audit_events)")
    op.execute(before.PAYLOAD_HASH.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
    op.execute("DROP FUNCTION audit.payload_text(public.audit_events)")
    for function in INLINED:
        op.execute(f"ALTER FUNCTION {function} PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp")
    op.execute(before.APPEND_EVENTS)
    op.execute("REVOKE ALL ON FUNCTION audit.append_events(jsonb) FROM PUBLIC")
