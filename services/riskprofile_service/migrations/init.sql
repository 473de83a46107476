-- Legacy: how riskprofile_db was set up before Alembic. Kept for reference; new changes are Alembic revisions.
-- Makes risk_profiles, suitability_assessments and processed_events exactly as revision riskprofile_0003 does.
-- Safe to run again: what exists is left as it is.
-- To go on with Alembic: migration-sidecar adopt --revision riskprofile_0003, alembic upgrade head.

CREATE TABLE IF NOT EXISTS risk_profiles (
    risk_profile_id UUID DEFAULT gen_random_uuid() NOT NULL,
    client_id UUID NOT NULL,
    profile_version INTEGER NOT NULL,
    tolerance TEXT NOT NULL,
    maximum_risk_class SMALLINT NOT NULL,
    horizon_years SMALLINT NOT NULL,
    maximum_loss_percent NUMERIC(5, 2) NOT NULL,
    answers JSONB DEFAULT '{}'::jsonb NOT NULL,
    status TEXT DEFAULT 'draft' NOT NULL,
    signed_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_risk_profiles PRIMARY KEY (risk_profile_id),
    CONSTRAINT uq_risk_profiles_client_id_profile_version UNIQUE (client_id, profile_version),
    CONSTRAINT ck_risk_profiles_profile_version CHECK (profile_version > 0),
    CONSTRAINT ck_risk_profiles_tolerance
        CHECK (tolerance IN ('defensive', 'conservative', 'balanced', 'growth', 'aggressive')),
    CONSTRAINT ck_risk_profiles_maximum_risk_class CHECK (maximum_risk_class BETWEEN 1 AND 7),
    CONSTRAINT ck_risk_profiles_horizon_years CHECK (horizon_years BETWEEN 0 AND 60),
    CONSTRAINT ck_risk_profiles_maximum_loss_percent CHECK (maximum_loss_percent BETWEEN 0 AND 100),
    CONSTRAINT ck_risk_profiles_answers CHECK (jsonb_typeof(answers) = 'object'),
    CONSTRAINT ck_risk_profiles_status CHECK (status IN ('draft', 'in_force', 'superseded', 'expired')),
    CONSTRAINT ck_risk_profiles_signed CHECK (status <> 'in_force' OR signed_at IS NOT NULL)
);

CREATE UNIQUE INDEX IF NOT EXISTS uq_risk_profiles_in_force ON risk_profiles (client_id) WHERE status = 'in_force';

CREATE TABLE IF NOT EXISTS suitability_assessments (
    suitability_assessment_id UUID DEFAULT gen_random_uuid() NOT NULL,
    risk_profile_id UUID NOT NULL,
    product_id UUID NOT NULL,
    product_risk_class SMALLINT NOT NULL,
    amount NUMERIC(18, 2) NOT NULL,
    currency TEXT NOT NULL,
    verdict TEXT NOT NULL,
    reasons JSONB DEFAULT '[]'::jsonb NOT NULL,
    assessed_by TEXT NOT NULL,
    assessed_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_suitability_assessments PRIMARY KEY (suitability_assessment_id),
    CONSTRAINT fk_suitability_assessments_risk_profile_id
        FOREIGN KEY (risk_profile_id) REFERENCES risk_profiles (risk_profile_id) ON DELETE RESTRICT,
    CONSTRAINT ck_suitability_assessments_product_risk_class CHECK (product_risk_class BETWEEN 1 AND 7),
    CONSTRAINT ck_suitability_assessments_amount CHECK (amount > 0),
    CONSTRAINT ck_suitability_assessments_currency CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT ck_suitability_assessments_verdict
        CHECK (verdict IN ('suitable', 'suitable_with_warning', 'unsuitable')),
    CONSTRAINT ck_suitability_assessments_reasons CHECK (jsonb_typeof(reasons) = 'array')
);

CREATE INDEX IF NOT EXISTS ix_suitability_assessments_profile ON suitability_assessments (risk_profile_id, assessed_at);

CREATE INDEX IF NOT EXISTS ix_suitability_assessments_product ON suitability_assessments (product_id, verdict);

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
