-- Legacy: how cds_document was set up before Alembic. Kept for reference; new changes are Alembic revisions.
-- Makes documents and the first form of processed_events exactly as revision document_0001 does.
-- Safe to run again: what exists is left as it is.
-- To go on with Alembic: migration-sidecar adopt --revision document_0001, alembic upgrade head.

CREATE TABLE IF NOT EXISTS documents (
    document_id UUID DEFAULT gen_random_uuid() NOT NULL,
    client_id UUID NOT NULL,
    title TEXT NOT NULL,
    file_name TEXT NOT NULL,
    content_type TEXT NOT NULL,
    byte_size BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    storage_uri TEXT NOT NULL,
    status TEXT DEFAULT 'draft' NOT NULL,
    uploaded_by TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_documents PRIMARY KEY (document_id),
    CONSTRAINT uq_documents_storage_uri UNIQUE (storage_uri),
    CONSTRAINT ck_documents_status CHECK (status IN ('draft', 'final', 'signed', 'archived')),
    CONSTRAINT ck_documents_byte_size CHECK (byte_size >= 0),
    CONSTRAINT ck_documents_sha256 CHECK (sha256 ~ '^[0-9a-f]{64}$')
);

CREATE INDEX IF NOT EXISTS ix_documents_sha256 ON documents (sha256);

CREATE TABLE IF NOT EXISTS processed_events (
    event_id VARCHAR(255) NOT NULL,
    processed_at TIMESTAMP WITHOUT TIME ZONE DEFAULT now(),
    CONSTRAINT processed_events_pkey PRIMARY KEY (event_id)
);
