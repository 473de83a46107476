"""Names of schemas and tables that platforms, extensions and other tools bring into a database.

They count as this history's only if the history itself names a table there.
"""

from __future__ import annotations

PLATFORM_SCHEMAS = {
    *("auth", "cron", "extensions", "graphql", "graphql_public", "net", "pgbouncer", "pgmq", "pgsodium"),
    *("pgsodium_masks", "realtime", "_realtime", "storage", "supabase_functions", "supabase_migrations"),
    *("vault", "hdb_catalog", "hdb_views", "topology", "tiger", "tiger_data", "neon", "neon_auth", "pgagent"),
    *("partman", "repack", "squeeze", "pglogical", "spock", "google_ml", "azure", "cdc", "ag_catalog"),
    *("dbms_job", "aws_s3", "aws_commons", "timescaledb_information", "timescaledb_experimental"),
    *("_timescaledb_catalog", "_timescaledb_internal", "_timescaledb_config", "_timescaledb_cache"),
    *("_timescaledb_functions", "columnar", "columnar_internal", "citus", "citus_internal"),
}
LIBRARY_TABLES = {
    *("spatial_ref_sys", "geometry_columns", "geography_columns", "raster_columns", "raster_overviews"),
    *("us_gaz", "us_lex", "us_rules", "pg_stat_statements", "pg_stat_statements_info", "pg_buffercache"),
    *("celery_taskmeta", "celery_tasksetmeta", "kombu_message", "kombu_queue", "apscheduler_jobs"),
    *("django_migrations", "django_content_type", "django_session", "django_admin_log", "django_site"),
    *("auth_user", "auth_group", "auth_permission", "auth_group_permissions", "auth_user_groups"),
    *("auth_user_user_permissions", "flyway_schema_history", "schema_version", "databasechangelog"),
    *("databasechangeloglock", "schema_migrations", "ar_internal_metadata", "_prisma_migrations"),
    *("knex_migrations", "knex_migrations_lock", "sequelizemeta", "pgmigrations", "goose_db_version", "aerich"),
    *("_yoyo_migration", "_yoyo_log", "_yoyo_version", "yoyo_lock", "_sqlx_migrations"),
    *("__diesel_schema_migrations", "doctrine_migration_versions", "migrations_lock"),
}
