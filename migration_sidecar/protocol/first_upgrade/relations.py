"""The tables and views of a database, as far as somebody's history can have made them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from migration_sidecar.protocol.first_upgrade.other_histories import HOLDS_VERSIONS


class Relation(NamedTuple):
    """A table or view that is neither ours, a version table, nor of an extension."""

    schema: str
    name: str
    on_path: bool  # a name without a schema means this one
    has_neighbour: bool  # its schema has a version table of its own, as a tenant's has
    is_filled: bool  # it takes space on the disk, so it holds rows or has held some
    columns: Sequence[str]

    @property
    def full_name(self) -> str:
        """For people."""
        return f"{self.schema}.{self.name}"


def exists_other_relation(version_table: str, schema: str, journal: str, operations: str) -> str:
    """An SQL expression: whether there is any. The arguments are SQL, too."""
    return f"EXISTS (SELECT {_others(version_table, schema, journal, operations)})"


def other_relations(
    version_table: str, own_schema: str, landing: str, schema: str, journal: str, operations: str
) -> str:
    """A query for the fields of `Relation`. `landing` is the schema that env.py's names without one mean, or ''."""
    return f"""
        SELECT n.nspname::text AS schema, c.relname::text AS name,
               n.nspname = ANY (CASE WHEN {landing} <> '' THEN ARRAY[{landing}]::name[] ELSE current_schemas(false) END)
                 AS on_path,
               n.nspname <> coalesce(nullif({own_schema}, ''), current_schema(), '') AND EXISTS (
                 SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND {HOLDS_VERSIONS}) AS has_neighbour,
               c.relkind = 'f' OR coalesce(pg_relation_size(c.oid), 0) > 0 AS is_filled,
               ARRAY(SELECT a.attname::text FROM pg_attribute a
                     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
        {_others(version_table, schema, journal, operations)} ORDER BY 1, 2"""  # noqa: S608 - our own text


def _others(version_table: str, schema: str, journal: str, operations: str) -> str:
    return f"""FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
          AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'migration_sidecar') AND left(n.nspname, 3) <> 'pg_'
          AND c.oid <> coalesce(to_regclass({version_table}), 0) AND NOT {HOLDS_VERSIONS}
          AND NOT (n.nspname = {schema} AND c.relname IN ({journal}, {operations}))
          AND NOT EXISTS (SELECT FROM pg_depend d
                          WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')"""


def first_upgrade_record(journal: str, version_table: str) -> str:
    """A query for what the journal says of a database without a version row, in one row.

    `is_base`: the history was taken down to base, or a first upgrade began with the question answered and went so far
    that it may have left tables. `began_alone`: one began while none of this history's tables were there.
    """
    rows = f"FROM {journal} WHERE version_table = {version_table}"
    moved = f"{rows} AND kind IN ('applied', 'reverted', 'stamped')"
    return f"""SELECT coalesce(
          (SELECT coalesce(detail->'heads' = '[]', false) {moved} ORDER BY seq DESC LIMIT 1),
          EXISTS (SELECT {rows} AND (kind = 'attempt' AND detail->>'beside' = 'other_tables'
                                     OR kind = 'nontx_started' AND detail->>'beside' IS NOT NULL))) AS is_base,
        NOT EXISTS (SELECT {moved})
          AND EXISTS (SELECT {rows} AND kind = 'attempt' AND detail->>'beside' = 'nothing') AS began_alone"""
