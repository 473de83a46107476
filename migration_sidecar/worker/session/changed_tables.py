"""SQL that lists the tables a revision changed: those that its transaction has locked when it ends.

It does not find what an autocommit_block changed, nor tables that the same revision creates and drops.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from migration_sidecar.protocol.journal_schema import JournalTables

MAX_NAMES = 50
_MAX_KNOWN = 2000
_FUNCTION = re.compile(rb"^(?:async )?def (upgrade|downgrade)\b.*?(?=^\S|\Z)", re.DOTALL | re.MULTILINE)

# In SQL_ASCII a name is any bytes, and not every driver can read them.
_TABLE = """CASE WHEN getdatabaseencoding() <> 'SQL_ASCII' OR c.relname ~ '^[ -~]*$' AND n.nspname ~ '^[ -~]*$'
                THEN n.nspname || '.' || c.relname
                ELSE encode(convert_to(n.nspname || '.' || c.relname, 'SQL_ASCII'), 'escape') END"""

# A dropped table still has its lock, but no name. So a revision that may drop one lists all names before it begins.
KNOWN_BEFORE = f"""
    (SELECT CAST(jsonb_object_agg(k.oid, k.name) AS text) FROM (
       SELECT c.oid, {_TABLE} AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       LIMIT {_MAX_KNOWN}) AS k) AS known"""  # noqa: S608 - our own text


def changed(tables: JournalTables) -> str:
    """SQL that adds `tables` and `tables_count` to a JSON detail. Its parameters are :known and :own_table."""
    return f""" || (
        SELECT CASE WHEN count(*) = 0 THEN CAST('{{}}' AS jsonb) ELSE
               jsonb_build_object('tables', to_jsonb((array_agg(t.name ORDER BY t.name))[1:{MAX_NAMES}]),
                                  'tables_count', count(*)) END
        FROM (SELECT DISTINCT coalesce({_TABLE},
                                       CAST(:known AS jsonb) ->> CAST(l.relation AS text)) AS name
              FROM pg_locks l LEFT JOIN (pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace) ON c.oid = l.relation
              WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation'
                AND l.mode NOT IN ('AccessShareLock', 'RowShareLock') AND l.relation > 16383
                AND (c.oid IS NULL OR (c.relkind IN ('r', 'p', 'f', 'v', 'm') AND n.nspname !~ '^pg_'
                  AND (n.nspname, c.relname) <> ('{tables.schema}', '{tables.journal_name}')
                  AND c.relname <> CAST(:own_table AS text)))) AS t
        WHERE t.name IS NOT NULL)"""  # noqa: S608 - quoted


def may_drop(source: bytes, *, upwards: bool) -> bool:
    """Whether the word `drop` is in the file, apart from the function of the other direction."""
    other = b"downgrade" if upwards else b"upgrade"
    text = _FUNCTION.sub(lambda match: b"" if match[1] == other else match[0], source)
    return b"drop" in text.lower()
