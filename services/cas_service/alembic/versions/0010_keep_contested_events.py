"""Keep what was refused of a contested event beside what was stored first"""

from alembic import context, op

revision = "audit_0010"
down_revision = "audit_0009"
branch_labels = None
depends_on = None

# Which of two contents is true the audit cannot know: who spoke first may be the forger. `conflict_seq` is the event
# that tells of the refusal; its detail has the hash of `payload`, so both tellings are under the chain.
CONTESTED_EVENTS = """
CREATE TABLE audit.contested_events (
    conflict_seq bigint PRIMARY KEY,
    event_id uuid NOT NULL,
    stored_seq bigint NOT NULL,
    stored_service text,
    refused_service text,
    payload text NOT NULL
)
"""

# Readers who are held to services see what is of them on both sides: a forger chooses one of the two.
POLICIES = """
CREATE POLICY services_of_reader ON audit.contested_events FOR SELECT USING (
    NOT EXISTS ({held_to})
    OR stored_service = ANY (ARRAY({held_to})) AND refused_service = ANY (ARRAY({held_to}))
);
CREATE POLICY owner ON audit.contested_events
USING ((SELECT pg_has_role('cas_owner', 'USAGE'))) WITH CHECK ((SELECT pg_has_role('cas_owner', 'USAGE')));
ALTER TABLE audit.contested_events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY
"""

REFUSE_CHANGES = """
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON audit.contested_events
FOR EACH ROW EXECUTE FUNCTION audit.refuse_change();
CREATE TRIGGER refuse_truncation BEFORE TRUNCATE ON audit.contested_events
FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change();
ALTER TABLE audit.contested_events ENABLE ALWAYS TRIGGER refuse_change;
ALTER TABLE audit.contested_events ENABLE ALWAYS TRIGGER refuse_truncation
"""

# The stored content is NULL once its segment was retired: it is in that segment's file then.
CONTESTED = """
CREATE VIEW audit.contested AS
SELECT contested.conflict_seq, contested.event_id, contested.stored_seq, contested.payload::jsonb AS refused,
    CASE WHEN stored.seq IS NOT NULL THEN audit.payload_text(stored)::jsonb END AS stored, contested.payload
FROM audit.contested_events AS contested
LEFT JOIN public.audit_events AS stored ON stored.seq = contested.stored_seq
"""

# Conflicts that were recorded before this revision do not have it: what they refused was not kept.
CONFLICT_BEFORE = "'refused_payload_hash', refused.payload_hash)"
CONFLICT_AFTER = "'refused_payload_hash', refused.payload_hash, 'refused_in', 'audit.contested')"

APPEND = """
CREATE OR REPLACE FUNCTION audit.append(events jsonb)
RETURNS TABLE (event_id uuid, seq bigint, result text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    incoming public.audit_events[] := audit.incoming(events);
    head audit.chain_head;
    event public.audit_events;
    known public.audit_events;
    refused public.audit_events;
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
            refused := event;
            event := audit.conflict(known, refused);
            CONTINUE WHEN EXISTS (SELECT FROM public.audit_events AS stored WHERE stored.event_id = event.event_id)
                OR EXISTS (SELECT FROM audit.retired_events AS retired WHERE retired.event_id = event.event_id);
            INSERT INTO audit.contested_events
            VALUES (head.seq + 1, known.event_id, known.seq, known.service, refused.service,
                audit.payload_text(refused));
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


def upgrade() -> None:
    before = context.script.get_revision("audit_0005").module
    held_to = context.script.get_revision("audit_0006").module.HELD_TO
    op.execute(CONTESTED_EVENTS)
    op.execute(POLICIES.format(held_to=held_to))
    op.execute(REFUSE_CHANGES)
    op.execute(CONTESTED)
    op.execute("GRANT SELECT ON audit.contested TO cas_reader, cas_witness")
    for each in ("TABLE audit.contested_events", "VIEW audit.contested"):
        op.execute(f"ALTER {each} OWNER TO cas_owner")
    op.execute(_replaced(before.CONFLICT).replace(CONFLICT_BEFORE, CONFLICT_AFTER))
    op.execute(APPEND)


def downgrade() -> None:
    op.execute(context.script.get_revision("audit_0003").module.REFUSE_TO_TAKE_BACK)
    before = context.script.get_revision("audit_0005").module
    op.execute(_replaced(before.APPEND))
    op.execute(_replaced(before.CONFLICT))
    op.execute("DROP VIEW audit.contested")
    op.execute("DROP TABLE audit.contested_events")


def _replaced(function: str) -> str:
    return function.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
