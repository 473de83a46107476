-- Legacy: how rmbrain_mainapp was set up before Alembic. Kept for reference; new changes are Alembic revisions.
-- Makes plugins, tenant_plugins, plugin_event_registry and event_mappings exactly as revision mainapp_0003 does.
-- Safe to run again: what exists is left as it is.
-- To go on with Alembic: migration-sidecar adopt --revision mainapp_0003, alembic upgrade head.

CREATE TABLE IF NOT EXISTS plugins (
    plugin_id UUID DEFAULT gen_random_uuid() NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    vendor TEXT NOT NULL,
    base_url TEXT NOT NULL,
    status TEXT DEFAULT 'registered' NOT NULL,
    manifest JSONB DEFAULT '{}'::jsonb NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_plugins PRIMARY KEY (plugin_id),
    CONSTRAINT uq_plugins_name_version UNIQUE (name, version),
    CONSTRAINT ck_plugins_name CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    CONSTRAINT ck_plugins_status CHECK (status IN ('registered', 'enabled', 'deprecated', 'removed')),
    CONSTRAINT ck_plugins_manifest CHECK (jsonb_typeof(manifest) = 'object')
);

CREATE TABLE IF NOT EXISTS tenant_plugins (
    tenant_id TEXT NOT NULL,
    plugin_id UUID NOT NULL,
    is_enabled BOOLEAN DEFAULT false NOT NULL,
    enabled_at TIMESTAMP WITH TIME ZONE,
    enabled_by TEXT,
    configuration JSONB DEFAULT '{}'::jsonb NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_tenant_plugins PRIMARY KEY (tenant_id, plugin_id),
    CONSTRAINT fk_tenant_plugins_plugin_id FOREIGN KEY (plugin_id) REFERENCES plugins (plugin_id) ON DELETE RESTRICT,
    CONSTRAINT ck_tenant_plugins_configuration CHECK (jsonb_typeof(configuration) = 'object'),
    CONSTRAINT ck_tenant_plugins_enabled_at CHECK (NOT is_enabled OR enabled_at IS NOT NULL)
);

CREATE INDEX IF NOT EXISTS ix_tenant_plugins_plugin_id ON tenant_plugins (plugin_id);

CREATE TABLE IF NOT EXISTS plugin_event_registry (
    registration_id BIGINT GENERATED ALWAYS AS IDENTITY,
    plugin_id UUID NOT NULL,
    event_type TEXT NOT NULL,
    direction TEXT NOT NULL,
    schema_version SMALLINT DEFAULT 1 NOT NULL,
    registered_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_plugin_event_registry PRIMARY KEY (registration_id),
    CONSTRAINT fk_plugin_event_registry_plugin_id
        FOREIGN KEY (plugin_id) REFERENCES plugins (plugin_id) ON DELETE CASCADE,
    CONSTRAINT uq_plugin_event_registry_registration UNIQUE (plugin_id, event_type, direction),
    CONSTRAINT ck_plugin_event_registry_direction CHECK (direction IN ('publishes', 'subscribes'))
);

CREATE INDEX IF NOT EXISTS ix_plugin_event_registry_event_type ON plugin_event_registry (event_type, direction);

CREATE TABLE IF NOT EXISTS event_mappings (
    mapping_id BIGINT GENERATED ALWAYS AS IDENTITY,
    tenant_id TEXT NOT NULL,
    plugin_id UUID NOT NULL,
    source_event_type TEXT NOT NULL,
    target_event_type TEXT NOT NULL,
    transformation JSONB DEFAULT '{}'::jsonb NOT NULL,
    is_active BOOLEAN DEFAULT true NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_event_mappings PRIMARY KEY (mapping_id),
    CONSTRAINT fk_event_mappings_plugin_id FOREIGN KEY (plugin_id) REFERENCES plugins (plugin_id) ON DELETE CASCADE,
    CONSTRAINT uq_event_mappings_mapping UNIQUE (tenant_id, plugin_id, source_event_type, target_event_type),
    CONSTRAINT ck_event_mappings_transformation CHECK (jsonb_typeof(transformation) = 'object')
);
