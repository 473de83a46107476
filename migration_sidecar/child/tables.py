"""Where our records stand in a database: in a schema of their own, or in tables that the operator named."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

# Its index names grow from it and must not be cut at PostgreSQL's 63 bytes.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,44}")

PLAIN = "alembic_version"
HISTORY = "version_table"
# The first release knew one history, and its replicas still write while the next one is rolled out: hence the default.
_HISTORY_COLUMN = f"{HISTORY} text NOT NULL DEFAULT '{PLAIN}'"

# True of a table `c` of pg_class that looks as Alembic makes it.
_HOLDS_VERSIONS = """(c.relkind = 'r' AND c.relnatts = 1 AND EXISTS (
    SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = 1 AND a.attname = 'version_num'))"""


@dataclass(frozen=True)
class JournalTables:
    """Names as SQL, quoted; only `schema`, `journal_name` and `operations_name` are bare."""

    journal: str
    operations: str
    schema: str
    journal_name: str
    operations_name: str


def journal_tables(name: str | None = None) -> JournalTables:
    """`ops.migrations`, or `migrations` for one in `public`; raises ValueError for anything less plain."""
    if name is None:
        return _named("migration_sidecar", "journal", "operations")
    parts = name.split(".")
    if len(parts) > 2 or not all(_NAME.fullmatch(part) for part in parts):
        raise ValueError("it must be a table, or schema.table, of letters, digits and _, at most 45 each")
    schema, table = parts if len(parts) == 2 else ("public", parts[0])
    return _named(schema, table, f"{table}_operations")


def history_name(version_table: str, version_table_schema: str | None) -> str:
    """What tells the records of one history from those of another in the same database."""
    return f"{version_table_schema}.{version_table}" if version_table_schema else version_table


def other_tables(version_table: str, own_schema: str, schema: str, journal: str, operations: str) -> str:
    """An expression: are there tables beside Alembic's and ours? The arguments are SQL too, mostly parameters.

    Another schema with a version table of its own, as each tenant may have one, accounts for its own tables, and an
    extension such as PostGIS for those that it brought.
    """
    return f"""EXISTS (
        SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'migration_sidecar')
          AND left(n.nspname, 3) <> 'pg_' AND c.oid <> coalesce(to_regclass({version_table}), 0)
          AND NOT {_HOLDS_VERSIONS}
          AND NOT (n.nspname = {schema} AND c.relname IN ({journal}, {operations}))
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
          AND (n.nspname = coalesce(nullif({own_schema}, ''), current_schema()) OR NOT EXISTS (
            SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND {_HOLDS_VERSIONS})))"""  # noqa: S608 - our own text


def neighbours(tables: JournalTables, version_table: str) -> str:
    """A query: the files, as `file_mark` writes them, that each other history of this database applied through us."""
    files = "array_agg(DISTINCT revision || ' ' || coalesce(detail->>'sha256', '')) AS files"
    return f"""SELECT ({HISTORY}) AS history, {files} FROM {tables.journal}
               WHERE ({HISTORY}) <> {version_table} AND kind = 'applied' GROUP BY 1"""  # noqa: S608 - quoted


def version_tables(version_table: str, own_schema: str) -> str:
    """A query: the other tables of the same schema in which Alembic keeps a revision, as SQL names them."""
    return f"""SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name
               FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = coalesce(nullif({own_schema}, ''), current_schema())
                 AND c.oid <> coalesce(to_regclass({version_table}), 0) AND {_HOLDS_VERSIONS}
                 AND has_table_privilege(c.oid, 'SELECT') ORDER BY 1"""  # noqa: S608 - our own text


def held_versions(names: Iterable[str]) -> str:
    """A query: what each of these version tables holds, by its place among them."""
    each = [f"SELECT {place} AS place, version_num::text AS held FROM {name}" for place, name in enumerate(names)]  # noqa: S608 - quoted
    return " UNION ALL ".join(each)


def file_mark(revision: str, sha256: str) -> str:
    """Two histories may well use the same ids, 0001 and 0002, but not for the same files."""
    return f"{revision} {sha256}"


def are_unaccounted(
    histories: Iterable[Iterable[str]], versions: Iterable[Collection[str]], known: Collection[str]
) -> bool:
    """Whether tables were made by no other history; one whose files we all know is ours under another name.

    Of a history that others migrate only its `versions` are there to be read: one that holds an id of ours may be ours.
    """
    ids = {mark.partition(" ")[0] for mark in known}
    through_us = any(set(files) - set(known) for files in histories)
    return not through_us and not any(held and ids.isdisjoint(held) for held in versions)


def create(tables: JournalTables) -> str:
    """Makes what is missing and brings up to date what an older release made; safe to run by many at once."""
    # One statement, because asyncpg prepares what it sends. The lock makes racing replicas wait for each other here:
    # CREATE … IF NOT EXISTS alone fails with a unique violation when two run at once. And it asks for the right to
    # create a schema even where the schema exists.
    return f"""
DO $create$ BEGIN
  PERFORM pg_advisory_xact_lock(19785, 0);
  IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = '{tables.schema}') THEN
    CREATE SCHEMA "{tables.schema}";
  END IF;
  CREATE TABLE IF NOT EXISTS {tables.journal} (
    seq bigint GENERATED ALWAYS AS IDENTITY,
    event_id uuid PRIMARY KEY,
    operation_id text NOT NULL,
    {_HISTORY_COLUMN},
    attempt integer NOT NULL,
    revision text,
    kind text NOT NULL CHECK (kind IN ('attempt', 'started', 'nontx_started', 'applied', 'reverted', 'stamped',
                                       'failed', 'refused', 'cancelled', 'resolved')),
    xid text,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    detail jsonb NOT NULL DEFAULT '{{}}',
    relayed_at timestamptz
  );
  CREATE INDEX IF NOT EXISTS "{tables.journal_name}_to_relay" ON {tables.journal} (seq) WHERE relayed_at IS NULL;
  CREATE INDEX IF NOT EXISTS "{tables.journal_name}_by_operation" ON {tables.journal} (operation_id, seq);
  CREATE TABLE IF NOT EXISTS {tables.operations} (
    operation_id text PRIMARY KEY,
    {_HISTORY_COLUMN},
    body_digest text NOT NULL,
    request jsonb NOT NULL,
    state text NOT NULL,
    record jsonb NOT NULL,
    accepted_at timestamptz NOT NULL DEFAULT clock_timestamp()
  );
  CREATE INDEX IF NOT EXISTS "{tables.operations_name}_by_age" ON {tables.operations} (accepted_at);
  IF NOT EXISTS (SELECT FROM pg_attribute
                 WHERE attrelid = '{tables.journal}'::regclass AND attname = '{HISTORY}') THEN
    ALTER TABLE {tables.journal} ADD COLUMN {_HISTORY_COLUMN};
    ALTER TABLE {tables.operations} ADD COLUMN IF NOT EXISTS {_HISTORY_COLUMN};
  END IF;
END $create$
"""  # noqa: S608 - quoted


def _named(schema: str, journal: str, operations: str) -> JournalTables:
    return JournalTables(f'"{schema}"."{journal}"', f'"{schema}"."{operations}"', schema, journal, operations)
