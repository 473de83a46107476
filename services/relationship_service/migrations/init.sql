-- Legacy: how relationship_db was set up before Alembic. Kept for reference; new changes are Alembic revisions.
-- Makes relationships and processed_events exactly as revision relationship_0002 does.
-- Safe to run again: what exists is left as it is.
-- To go on with Alembic: migration-sidecar adopt --revision relationship_0002, alembic upgrade head.

CREATE TABLE IF NOT EXISTS relationships (
    relationship_id UUID DEFAULT gen_random_uuid() NOT NULL,
    client_id UUID NOT NULL,
    employee_id TEXT NOT NULL,
    role TEXT NOT NULL,
    team_id TEXT,
    revenue_share_percent NUMERIC(5, 2) DEFAULT 0 NOT NULL,
    valid_from DATE DEFAULT CURRENT_DATE NOT NULL,
    valid_to DATE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_relationships PRIMARY KEY (relationship_id),
    CONSTRAINT uq_relationships_relationship UNIQUE (client_id, employee_id, role, valid_from),
    CONSTRAINT ck_relationships_role CHECK (role IN ('primary', 'deputy', 'specialist', 'assistant')),
    CONSTRAINT ck_relationships_period CHECK (valid_to >= valid_from),
    CONSTRAINT ck_relationships_revenue_share_percent CHECK (revenue_share_percent BETWEEN 0 AND 100)
);

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
