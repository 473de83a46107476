-- Legacy: how cds_client was set up before Alembic. Kept for reference; new changes are Alembic revisions.
-- Makes clients, client_links and processed_events exactly as revision client_0003 does.
-- Safe to run again: what exists is left as it is.
-- To go on with Alembic: migration-sidecar adopt --revision client_0003, alembic upgrade head.

CREATE TABLE IF NOT EXISTS clients (
    client_id UUID DEFAULT gen_random_uuid() NOT NULL,
    client_number TEXT NOT NULL,
    client_type TEXT NOT NULL,
    legal_name TEXT NOT NULL,
    date_of_birth DATE,
    domicile_country TEXT NOT NULL,
    reference_currency TEXT DEFAULT 'CHF' NOT NULL,
    status TEXT DEFAULT 'prospect' NOT NULL,
    relationship_manager_id TEXT,
    kyc_review_due DATE,
    version INTEGER DEFAULT 1 NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_clients PRIMARY KEY (client_id),
    CONSTRAINT uq_clients_client_number UNIQUE (client_number),
    CONSTRAINT ck_clients_client_number CHECK (client_number ~ '^C[0-9]{8}$'),
    CONSTRAINT ck_clients_client_type CHECK (client_type IN ('person', 'joint', 'company', 'trust', 'foundation')),
    CONSTRAINT ck_clients_status CHECK (status IN ('prospect', 'onboarding', 'active', 'dormant', 'closed')),
    CONSTRAINT ck_clients_legal_name CHECK (length(btrim(legal_name)) > 0),
    CONSTRAINT ck_clients_domicile_country CHECK (domicile_country ~ '^[A-Z]{2}$'),
    CONSTRAINT ck_clients_reference_currency CHECK (reference_currency ~ '^[A-Z]{3}$')
);

CREATE INDEX IF NOT EXISTS ix_clients_portfolio ON clients (relationship_manager_id, status, legal_name);

CREATE TABLE IF NOT EXISTS client_links (
    client_link_id BIGINT GENERATED ALWAYS AS IDENTITY,
    from_client_id UUID NOT NULL,
    to_client_id UUID NOT NULL,
    link_type TEXT NOT NULL,
    valid_from DATE DEFAULT CURRENT_DATE NOT NULL,
    valid_to DATE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_client_links PRIMARY KEY (client_link_id),
    CONSTRAINT fk_client_links_from_client_id
        FOREIGN KEY (from_client_id) REFERENCES clients (client_id) ON DELETE RESTRICT,
    CONSTRAINT fk_client_links_to_client_id
        FOREIGN KEY (to_client_id) REFERENCES clients (client_id) ON DELETE RESTRICT,
    CONSTRAINT uq_client_links_link UNIQUE (from_client_id, to_client_id, link_type, valid_from),
    CONSTRAINT ck_client_links_link_type
        CHECK (link_type IN ('spouse', 'parent', 'beneficial_owner', 'authorised_signatory', 'trustee', 'guarantor')),
    CONSTRAINT ck_client_links_two_clients CHECK (from_client_id <> to_client_id),
    CONSTRAINT ck_client_links_period CHECK (valid_to >= valid_from)
);

CREATE INDEX IF NOT EXISTS ix_client_links_to_client_id_link_type ON client_links (to_client_id, link_type);

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
