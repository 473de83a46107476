-- Legacy: how cds_product was set up before Alembic. Kept for reference; new changes are Alembic revisions.
-- Makes products and processed_events exactly as revision product_0002 does.
-- Safe to run again: what exists is left as it is.
-- To go on with Alembic: migration-sidecar adopt --revision product_0002, alembic upgrade head.

CREATE TABLE IF NOT EXISTS products (
    product_id UUID DEFAULT gen_random_uuid() NOT NULL,
    isin TEXT,
    name TEXT NOT NULL,
    issuer_name TEXT NOT NULL,
    asset_class TEXT NOT NULL,
    currency TEXT NOT NULL,
    risk_class SMALLINT NOT NULL,
    minimum_investment NUMERIC(18, 2),
    ongoing_charges_percent NUMERIC(7, 4),
    matures_on DATE,
    status TEXT DEFAULT 'draft' NOT NULL,
    approved_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_products PRIMARY KEY (product_id),
    CONSTRAINT uq_products_isin UNIQUE (isin),
    CONSTRAINT ck_products_isin CHECK (isin ~ '^[A-Z]{2}[A-Z0-9]{9}[0-9]$'),
    CONSTRAINT ck_products_asset_class
        CHECK (asset_class IN ('equity', 'bond', 'fund', 'structured', 'alternative', 'cash')),
    CONSTRAINT ck_products_status CHECK (status IN ('draft', 'approved', 'suspended', 'withdrawn')),
    CONSTRAINT ck_products_currency CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT ck_products_risk_class CHECK (risk_class BETWEEN 1 AND 7),
    CONSTRAINT ck_products_minimum_investment CHECK (minimum_investment > 0),
    CONSTRAINT ck_products_approved_at CHECK (status <> 'approved' OR approved_at IS NOT NULL)
);

CREATE INDEX IF NOT EXISTS ix_products_issuer_name ON products (issuer_name);

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
