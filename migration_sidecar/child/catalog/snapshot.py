"""Puts the parts together into one query, and makes one digest of what it gives."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple

from migration_sidecar.child.catalog import database, relations, types

WHOSE = ("owner", "grants")  # who may use an object, not what it is


class Fact(NamedTuple):
    """One thing in a database: its kind, its full name, and its definition as PostgreSQL prints it."""

    kind: str
    object: str
    definition: str


# Whatever the session's settings are, everything is printed in one way, and every name with its schema.
PLAIN_PRINT = """
SELECT set_config('search_path', '', true), set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO', true),
       set_config('IntervalStyle', 'postgres', true), set_config('extra_float_digits', '1', true),
       set_config('quote_all_identifiers', 'off', true), set_config('bytea_output', 'hex', true)
"""

_SCOPE = """
WITH space AS MATERIALIZED (
  SELECT n.oid, quote_ident(n.nspname) AS name FROM pg_namespace n
  WHERE left(n.nspname, 3) <> 'pg_' AND n.nspname <> 'information_schema' AND n.nspname <> ALL ({schemas})
), member AS MATERIALIZED (
  SELECT d.classid, d.objid FROM pg_depend d WHERE d.deptype = 'e'
), relation AS MATERIALIZED (
  SELECT c.*, s.name || '.' || quote_ident(c.relname) AS shown
  FROM pg_class c JOIN space s ON s.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c')
    AND NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid)
    AND NOT EXISTS (SELECT FROM unnest({relations}) AS name
                    WHERE c.oid = to_regclass(name)
                       OR EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.refobjid = to_regclass(name)
                                  AND c.relkind = 'S' AND d.deptype IN ('a', 'i')))
), thing (classid, objid, subid, kind, object, definition, owner, acl) AS MATERIALIZED (
{parts}
)
SELECT kind, object, coalesce(definition, '') AS definition FROM thing
UNION ALL
SELECT 'comment', thing.kind || ' ' || thing.object, d.description
FROM thing JOIN pg_description d ON d.classoid = thing.classid AND d.objoid = thing.objid AND d.objsubid = thing.subid
UNION ALL
SELECT 'security label', thing.kind || ' ' || thing.object, l.provider || ': ' || l.label
FROM thing JOIN pg_seclabel l ON l.classoid = thing.classid AND l.objoid = thing.objid AND l.objsubid = thing.subid
UNION ALL
SELECT 'owner', thing.kind || ' ' || thing.object, pg_get_userbyid(thing.owner) FROM thing WHERE thing.owner IS NOT NULL
UNION ALL
SELECT 'grants', thing.kind || ' ' || thing.object,
       (SELECT string_agg(g, ', ' ORDER BY g) FROM (
          SELECT CASE a.grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(a.grantee) END || '='
                 || string_agg(a.privilege_type || CASE WHEN a.is_grantable THEN '*' ELSE '' END, '/'
                               ORDER BY a.privilege_type)
          FROM aclexplode(thing.acl) AS a GROUP BY a.grantee) AS each (g))
FROM thing WHERE thing.acl IS NOT NULL
"""


def query(*, schemas: Iterable[str] = (), relations_: Iterable[str] = ()) -> str:
    """Everything but the named schemas and relations (as `schema.name`, quoted); run it after PLAIN_PRINT."""
    parts = "\nUNION ALL\n".join((*relations.PARTS, *types.PARTS, *database.PARTS))
    return _SCOPE.format(schemas=_array(schemas), relations=_array(relations_), parts=parts)


def digest(facts: Sequence[Fact]) -> str:
    """The same for the same objects, whoever owns them."""
    lines = sorted(json.dumps(fact) for fact in facts if fact.kind not in WHOSE)
    return sha256("\n".join(lines).encode()).hexdigest()


def _array(words: Iterable[str]) -> str:
    return "ARRAY[" + ", ".join("'" + word.replace("'", "''") + "'" for word in words) + "]::text[]"
