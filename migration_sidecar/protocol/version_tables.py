"""Whose the tables of a database are: this history's, another one's that lives beside it, or nobody knows whose."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from migration_sidecar.protocol.journal_schema import HISTORY, JournalTables

# True of a table `c` of pg_class that looks as Alembic makes it.
_HOLDS_VERSIONS = """(c.relkind = 'r' AND c.relnatts = 1 AND EXISTS (
    SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = 1 AND a.attname = 'version_num'))"""


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
    return f"""SELECT {files} FROM {tables.journal}
               WHERE {HISTORY} <> {version_table} AND kind = 'applied' GROUP BY {HISTORY}"""  # noqa: S608 - quoted


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
