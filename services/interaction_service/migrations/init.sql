-- Legacy: how interaction_db was set up before Alembic. Kept for reference; new changes are Alembic revisions.
-- Makes interactions and processed_events exactly as revision interaction_0002 does.
-- Safe to run again: what exists is left as it is.
-- To go on with Alembic: migration-sidecar adopt --revision interaction_0002, alembic upgrade head.

CREATE TABLE IF NOT EXISTS interactions (
    interaction_id UUID DEFAULT gen_random_uuid() NOT NULL,
    client_id UUID NOT NULL,
    relationship_manager_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    direction TEXT NOT NULL,
    occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
    duration_seconds INTEGER,
    subject TEXT NOT NULL,
    summary TEXT,
    participants JSONB DEFAULT '[]'::jsonb NOT NULL,
    sentiment SMALLINT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_interactions PRIMARY KEY (interaction_id),
    CONSTRAINT ck_interactions_channel CHECK (channel IN ('meeting', 'phone', 'video', 'email', 'chat', 'letter')),
    CONSTRAINT ck_interactions_direction CHECK (direction IN ('inbound', 'outbound', 'internal')),
    CONSTRAINT ck_interactions_duration_seconds CHECK (duration_seconds >= 0),
    CONSTRAINT ck_interactions_participants CHECK (jsonb_typeof(participants) = 'array'),
    CONSTRAINT ck_interactions_sentiment CHECK (sentiment BETWEEN -2 AND 2)
);

CREATE INDEX IF NOT EXISTS ix_interactions_timeline ON interactions (client_id, occurred_at);

CREATE TABLE IF NOT EXISTS processed_events (
    event_id TEXT NOT NULL,
    processed_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    source TEXT NOT NULL,
    event_type TEXT NOT NULL,
    aggregate_id TEXT,
    payload_hash TEXT,
    outcome TEXT DEFAULT 'processed' NOT NULL,
    CONSTRAINT pk_processed_events PRIMARY KEY (source, event_id),
    CONSTRAINT ck_processed_events_payload_hash CHECK (payload_hash ~ '^[0-9a-f]{64}$'),
    CONSTRAINT ck_processed_events_outcome CHECK (outcome IN ('processed', 'ignored', 'failed'))
);

CREATE INDEX IF NOT EXISTS ix_processed_events_aggregate_id_processed_at
    ON processed_events (aggregate_id, processed_at);

CREATE INDEX IF NOT EXISTS ix_processed_events_processed_at ON processed_events (processed_at);
