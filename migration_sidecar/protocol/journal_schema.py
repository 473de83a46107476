"""The tables of the journal and of the operations: their names, the SQL that creates them, and the JSON in them.

In a database whose encoding is not UTF-8 every byte of that JSON is ASCII. There PostgreSQL refuses a letter that its
encoding lacks, and in `jsonb` also its escape. So the letter is stored as the six characters of its escape.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from migration_sidecar.protocol.lock_key import DDL_LOCK

# The names of its indexes are longer, and PostgreSQL cuts names at 63 bytes.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,44}")

JOURNAL_SCHEMA = "migration_sidecar"  # unless a setting names another table
PLAIN = "alembic_version"
HISTORY = "version_table"
# SQLSTATEs that say nothing against the journal: lost connection, read-only server, conflict with others, resources,
# lock timeout, shutdown, system error.
ABOUT_THE_SERVER = ("08", "25006", "40", "53", "55P03", "57", "58")
AGREED = "agreed"  # absent in what version 0.1 made

UTF_8 = "UTF8"  # PostgreSQL's name for it; such a database needs nothing of this

_TO_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|(\\\\)(?=u)|\\.|[^\x00-\x7f]")
_ESCAPED = re.compile(r"\\\\u([0-9a-f]{4})|\\.")


@dataclass(frozen=True)
class JournalTables:
    """`journal` and `operations` are qualified and quoted for SQL; the other names are plain."""

    journal: str
    operations: str
    schema: str
    journal_name: str
    operations_name: str


def journal_tables(name: str | None = None) -> JournalTables:
    """For a setting such as `ops.migrations`, or `migrations` in the schema `public`; None gives the default.

    Raises ValueError for a name with other characters, or with more than 45.
    """
    if name is None:
        return _named(JOURNAL_SCHEMA, "journal", "operations")
    parts = name.split(".")
    if len(parts) > 2 or not all(_NAME.fullmatch(part) for part in parts):
        raise ValueError("it must be a table, or schema.table, of letters, digits and _, at most 45 each")
    schema, table = parts if len(parts) == 2 else ("public", parts[0])
    return _named(schema, table, f"{table}_operations")


def history_key(version_table: str, version_table_schema: str | None) -> str:
    """The value of the column `version_table`, which separates the histories of one database."""
    return f"{version_table_schema}.{version_table}" if version_table_schema else version_table


def create_sql(tables: JournalTables) -> str:
    """SQL that creates missing tables and updates those of version 0.1. Several sessions may run it at once."""
    # One statement, because asyncpg prepares what it sends. The lock makes replicas wait for each other: when two run
    # CREATE … IF NOT EXISTS at once, one fails with a unique violation. The schema is looked up first, because CREATE
    # SCHEMA IF NOT EXISTS needs the right to create a schema even when the schema exists.
    return f"""
DO $create$ BEGIN
  PERFORM pg_advisory_xact_lock{DDL_LOCK};
  IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = '{tables.schema}') THEN
    CREATE SCHEMA "{tables.schema}";
  END IF;
  CREATE TABLE IF NOT EXISTS {tables.journal} (
    seq bigint GENERATED ALWAYS AS IDENTITY,
    event_id uuid PRIMARY KEY,
    operation_id text NOT NULL,
    {HISTORY} text NOT NULL DEFAULT '{PLAIN}',
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
    {HISTORY} text NOT NULL DEFAULT '{PLAIN}',
    body_digest text NOT NULL,
    request jsonb NOT NULL,
    state text NOT NULL,
    record jsonb NOT NULL,
    accepted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    {AGREED} jsonb
  );
  CREATE INDEX IF NOT EXISTS "{tables.operations_name}_by_age" ON {tables.operations} (accepted_at);
  IF NOT EXISTS (SELECT FROM pg_attribute
                 WHERE attrelid = '{tables.operations}'::regclass AND attname = '{AGREED}') THEN
    ALTER TABLE {tables.operations} ADD COLUMN {AGREED} jsonb;
  END IF;
END $create$
"""  # noqa: S608 - quoted


def to_ascii(document: str) -> str:
    """The JSON text with each other letter, and U+0000, as the characters of its escape."""
    return _TO_ESCAPE.sub(_escaped, document)


def from_ascii(document: str) -> str:
    """The JSON text as it was before `to_ascii`; other JSON stays as it is."""
    return _ESCAPED.sub(lambda match: rf"\u{match[1]}" if match[1] else match[0], document)


def _named(schema: str, journal: str, operations: str) -> JournalTables:
    return JournalTables(f'"{schema}"."{journal}"', f'"{schema}"."{operations}"', schema, journal, operations)


def _escaped(match: re.Match[str]) -> str:
    found = match[0]
    if match[1]:
        needs_it = not 0 < int(match[1], 16) < 0x80
        return rf"\\u{match[1].lower()}" if needs_it else found
    if match[2]:  # somebody's own text that looks like an escape
        return r"\\u005c"
    if found[0] == "\\":
        return found
    units = found.encode("utf-16-be", "surrogatepass")
    return "".join(rf"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
