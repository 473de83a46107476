-- Legacy: how documents got its category before Alembic. Kept for reference; new changes are Alembic revisions.
-- Run init.sql first. Brings cds_document exactly to revision document_0002.
-- Safe to run again: what exists is left as it is.
-- To go on with Alembic: migration-sidecar adopt --revision document_0002, alembic upgrade head.

BEGIN;

ALTER TABLE documents ADD COLUMN IF NOT EXISTS category TEXT;

UPDATE documents SET category = CASE
    WHEN title ~* '(passport|identity|kyc)' THEN 'identification'
    WHEN title ~* '(contract|agreement|mandate)' THEN 'contract'
    WHEN title ~* '(tax|crs|fatca)' THEN 'tax'
    WHEN title ~* '(report|statement|valuation)' THEN 'report'
    WHEN title ~* '(letter|e-?mail)' THEN 'correspondence'
    ELSE 'other'
END
WHERE category IS NULL;

ALTER TABLE documents ALTER COLUMN category SET DEFAULT 'other';
ALTER TABLE documents ALTER COLUMN category SET NOT NULL;
ALTER TABLE documents DROP CONSTRAINT IF EXISTS ck_documents_category;
ALTER TABLE documents ADD CONSTRAINT ck_documents_category
    CHECK (category IN ('identification', 'contract', 'tax', 'report', 'correspondence', 'other'));
CREATE INDEX IF NOT EXISTS ix_documents_client ON documents (client_id, category, created_at);

COMMIT;
