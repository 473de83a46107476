"""The query for all objects of a database, its rows, and their digest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from migration_sidecar.protocol.catalog import database_objects, relations, types
from migration_sidecar.protocol.jobs import ExcludedObjects

OWNERSHIP_KINDS = ("owner", "grants")  # kinds that say who may use an object
COLUMN_ORDER = "column-order"
COSMETIC = (COLUMN_ORDER, "comment", "not-null-name")  # kinds that a person may choose to ignore


class CatalogObject(NamedTuple):
    """One object of a database: its kind, its full name, and its definition as PostgreSQL prints it."""

    kind: str
    object: str
    definition: str


# Makes the output independent of the session's settings, with the schema in every name.
PLAIN_PRINT = """
SELECT set_config('search_path', '', true), set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO', true),
       set_config('IntervalStyle', 'postgres', true), set_config('extra_float_digits', '1', true),
       set_config('quote_all_identifiers', 'off', true), set_config('bytea_output', 'hex', true)
"""

_QUERY = """
WITH space AS MATERIALIZED (
  SELECT n.oid, quote_ident(n.nspname) AS name FROM pg_namespace n
  WHERE left(n.nspname, 3) <> 'pg_' AND n.nspname <> 'information_schema' AND n.nspname <> ALL ({schemas})
), left_out AS MATERIALIZED (
  SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN unnest({schemas_of}, {names}) AS o (schema, name) ON c.relname = o.name AND o.schema IN (n.nspname, '')
), member AS MATERIALIZED (
  SELECT d.classid, d.objid FROM pg_depend d WHERE d.deptype = 'e'
), relation AS MATERIALIZED (
  SELECT c.*, s.name || '.' || quote_ident(c.relname) AS shown
  FROM pg_class c JOIN space s ON s.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c')
    AND NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid)
    AND NOT EXISTS (SELECT FROM left_out o WHERE o.oid = c.oid OR c.relkind = 'S' AND EXISTS (
                      SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.refobjid = o.oid AND d.deptype IN ('a', 'i')))
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


@dataclass(frozen=True)
class Exclusions:
    """What a comparison leaves out: whole schemas, and relations as (schema, name). An empty schema means any."""

    schemas: tuple[str, ...] = ()
    relations: tuple[tuple[str, str], ...] = ()

    @classmethod
    def read(cls, message: ExcludedObjects) -> Exclusions:
        """Called in the worker process, with a part of its job."""
        return cls(tuple(message["schemas"]), tuple((schema, name) for schema, name in message["relations"]))

    def message(self) -> ExcludedObjects:
        """For the job of a worker process."""
        return {"schemas": list(self.schemas), "relations": list(self.relations)}


def query(left_out: Exclusions) -> str:
    """SQL for all objects but those; to be run after PLAIN_PRINT in the same transaction."""
    return _QUERY.format(
        schemas=_array(left_out.schemas),
        schemas_of=_array(schema for schema, _ in left_out.relations),
        names=_array(name for _, name in left_out.relations),
        parts="\nUNION ALL\n".join((*relations.PARTS, *types.PARTS, *database_objects.PARTS)),
    )


def digest(facts: Sequence[CatalogObject]) -> str:
    """SHA-256 of the objects, without their owners and grants."""
    lines = sorted(json.dumps(fact) for fact in facts if fact.kind not in OWNERSHIP_KINDS)
    return sha256("\n".join(lines).encode()).hexdigest()


def _array(words: Iterable[str]) -> str:
    return "ARRAY[" + ", ".join("'" + word.replace("'", "''") + "'" for word in words) + "]::text[]"
