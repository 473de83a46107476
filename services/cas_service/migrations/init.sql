-- Legacy: how cas_audit was set up before Alembic. Kept for reference; new changes are Alembic revisions.
-- Makes audit_events exactly as revision audit_0001 does.
-- Safe to run again: what exists is left as it is.
-- To go on with Alembic: migration-sidecar adopt --revision audit_0001, alembic upgrade head.

CREATE TABLE IF NOT EXISTS audit_events (
    seq BIGINT NOT NULL,
    event_id UUID NOT NULL,
    event_type TEXT NOT NULL,
    occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
    source TEXT NOT NULL,
    request_id TEXT,
    service TEXT,
    database TEXT,
    actor TEXT,
    from_revision TEXT,
    to_revision TEXT,
    outcome TEXT,
    duration_ms BIGINT,
    detail JSONB DEFAULT '{}'::jsonb NOT NULL,
    payload_hash TEXT NOT NULL,
    prev_hash TEXT NOT NULL,
    hash TEXT NOT NULL,
    CONSTRAINT pk_audit_events PRIMARY KEY (seq),
    CONSTRAINT uq_audit_events_event_id UNIQUE (event_id),
    CONSTRAINT uq_audit_events_prev_hash UNIQUE (prev_hash),
    CONSTRAINT ck_audit_events_seq CHECK (seq > 0),
    CONSTRAINT ck_audit_events_detail CHECK (jsonb_typeof(detail) = 'object')
);
