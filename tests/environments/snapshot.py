"""What stands in a database: the schema as pg_dump writes it, the version rows, and how many rows each table has."""

from __future__ import annotations

import difflib
import subprocess
from dataclasses import dataclass

from psycopg import sql

from scripts.infrastructure.postgres import binaries
from tests.integration.databases import Database

OURS = "migration_sidecar"
NOT_TOLD = ("--", "\\restrict", "\\unrestrict")
TABLES = """
    SELECT n.nspname, c.relname, array_agg(a.attname::text) = '{version_num}' AS is_version_table
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema', %s)
    GROUP BY 1, 2 ORDER BY 1, 2"""


@dataclass(frozen=True)
class Snapshot:
    """Two that are equal are the same database to everybody but a clock."""

    schema: str
    versions: dict[str, list[str]]
    row_counts: dict[str, int]


def take(database: Database, *, hides_ours: bool = True) -> Snapshot:
    """Our own schema is left out, except where it may not be."""
    hidden = OURS if hides_ours else "nothing"
    versions, counts = {}, {}
    with database.connect() as connection:
        for schema, table, is_version_table in connection.execute(TABLES, (hidden,)).fetchall():
            name, place = f"{schema}.{table}", sql.Identifier(schema, table)
            if is_version_table:
                query = sql.SQL("SELECT version_num FROM {} ORDER BY 1").format(place)
                versions[name] = [row[0] for row in connection.execute(query).fetchall()]
            else:
                count = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(place)).fetchone()
                counts[name] = count[0] if count else 0
    return Snapshot(_schema(database, hidden), versions, counts)


def _schema(database: Database, hidden: str) -> str:
    return dump(database, "--schema-only", hidden=hidden)


def dump(database: Database, *options: str, hidden: str = OURS) -> str:
    """Everything that pg_dump writes of a database, but for one schema."""
    command = [str(binaries() / "pg_dump"), *options, f"--exclude-schema={hidden}", f"--dbname={database.url}"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # pg_dump guards its output with a word that is another one each time.
    return "\n".join(line for line in said.splitlines() if line and not line.startswith(NOT_TOLD))


def difference(right: str, found: str) -> str:
    """In a few lines what `found` has and `right` has not, and the other way round."""
    lines = difflib.unified_diff(right.splitlines(), found.splitlines(), "right", "found", lineterm="", n=0)
    return "\n".join(list(lines)[:40])
