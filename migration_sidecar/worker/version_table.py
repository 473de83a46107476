"""Finds the version table that Alembic uses on a connection: its name, its schema, and what is in it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text

USUAL_SEARCH_PATH = '"$user", public'
# A table is looked up by name, because to_regclass fails without USAGE on the schema.
_FIND = text("""
SELECT CAST(c.oid AS bigint) AS oid, CAST(n.nspname AS text) AS schema,
       CASE WHEN a.atttypmod > 4 THEN a.atttypmod - 4 END AS width,
       current_setting('search_path') AS path, CAST(current_schema() AS text) AS first
FROM (SELECT 1) AS one
LEFT JOIN (pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace)
  ON c.relname = CAST(:name AS text) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
 AND CASE WHEN CAST(:schema AS text) = '' THEN pg_table_is_visible(c.oid) ELSE n.nspname = CAST(:schema AS text) END
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'version_num' AND NOT a.attisdropped
""")


def named_schema(connection: Any, version_table_schema: str | None) -> str:
    """The schema in which SQLAlchemy looks for the version table; empty for the first one of search_path."""
    translated = connection.get_execution_options().get("schema_translate_map") or {}
    return translated.get(version_table_schema, version_table_schema) or ""


def find(connection: Any, name: str, schema: str) -> Any:
    """A row: `oid` (None if there is no such table), `schema`, `width`, `path` and `first`. `schema` may be empty."""
    return connection.execute(_FIND, {"name": name, "schema": schema}).one()


def default_schema_of(row: Any) -> str:
    """The schema of an unqualified version table; empty if search_path has PostgreSQL's default value.

    `row` is what `find` returned for this table without a schema.
    """
    if row.path == USUAL_SEARCH_PATH:
        return ""
    # A schema that env.py or a revision will create is not yet in current_schema().
    return str(row.schema or row.first or row.path.split(",")[0].strip().strip('"'))


def version_table_of(context: Any) -> tuple[str, str]:
    """Name and schema of the version table that this MigrationContext uses, as the history's key has them."""
    schema = named_schema(context.connection, context.version_table_schema)
    if schema:
        return context.version_table, schema
    return context.version_table, default_schema_of(find(context.connection, context.version_table, ""))
