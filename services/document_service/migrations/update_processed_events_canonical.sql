-- Legacy: how processed_events got its canonical structure before Alembic. Kept for reference; new changes are
-- Alembic revisions. Run init.sql and add_category_column.sql first. Brings cds_document exactly to revision
-- document_0003. Safe to run again: a table that is canonical already is left as it is.
-- To go on with Alembic: migration-sidecar adopt --revision document_0003, alembic upgrade head.

DO $$
BEGIN
    IF EXISTS (
        SELECT FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name = 'processed_events' AND column_name = 'source'
    ) THEN
        RETURN;
    END IF;

    UPDATE processed_events SET processed_at = now() WHERE processed_at IS NULL;
    ALTER TABLE processed_events
        ALTER COLUMN event_id TYPE TEXT,
        ALTER COLUMN processed_at TYPE TIMESTAMP WITH TIME ZONE USING processed_at AT TIME ZONE 'UTC',
        ALTER COLUMN processed_at SET NOT NULL,
        ADD COLUMN source TEXT,
        ADD COLUMN event_type TEXT,
        ADD COLUMN aggregate_id TEXT,
        ADD COLUMN payload_hash TEXT,
        ADD COLUMN outcome TEXT DEFAULT 'processed' NOT NULL;

    -- What the old table never stored cannot be recovered; it says so instead of guessing.
    UPDATE processed_events SET source = 'before-canonical', event_type = 'unknown';

    ALTER TABLE processed_events
        ALTER COLUMN source SET NOT NULL,
        ALTER COLUMN event_type SET NOT NULL,
        DROP CONSTRAINT processed_events_pkey,
        ADD CONSTRAINT pk_processed_events PRIMARY KEY (source, event_id),
        ADD CONSTRAINT ck_processed_events_payload_hash CHECK (payload_hash ~ '^[0-9a-f]{64}$'),
        ADD CONSTRAINT ck_processed_events_outcome CHECK (outcome IN ('processed', 'ignored', 'failed'));
    CREATE INDEX ix_processed_events_aggregate_id_processed_at ON processed_events (aggregate_id, processed_at);
    CREATE INDEX ix_processed_events_processed_at ON processed_events (processed_at);
END
$$;
