-- Legacy: how cds_task was set up before Alembic. Kept for reference; new changes are Alembic revisions.
-- Makes tasks and processed_events exactly as revision task_0002 does.
-- Safe to run again: what exists is left as it is.
-- To go on with Alembic: migration-sidecar adopt --revision task_0002, alembic upgrade head.

CREATE TABLE IF NOT EXISTS tasks (
    task_id UUID DEFAULT gen_random_uuid() NOT NULL,
    client_id UUID,
    title TEXT NOT NULL,
    description TEXT,
    task_type TEXT NOT NULL,
    status TEXT DEFAULT 'open' NOT NULL,
    assigned_to TEXT,
    created_by TEXT NOT NULL,
    due_at TIMESTAMP WITH TIME ZONE,
    completed_at TIMESTAMP WITH TIME ZONE,
    source_event_id TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_tasks PRIMARY KEY (task_id),
    CONSTRAINT uq_tasks_source_event_id UNIQUE (source_event_id),
    CONSTRAINT ck_tasks_title CHECK (length(btrim(title)) > 0),
    CONSTRAINT ck_tasks_task_type CHECK (task_type IN ('call', 'review', 'kyc', 'document', 'order', 'other')),
    CONSTRAINT ck_tasks_status CHECK (status IN ('open', 'in_progress', 'blocked', 'done', 'cancelled')),
    CONSTRAINT ck_tasks_completed_at CHECK ((status = 'done') = (completed_at IS NOT NULL))
);

CREATE INDEX IF NOT EXISTS ix_tasks_client ON tasks (client_id, created_at);

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
