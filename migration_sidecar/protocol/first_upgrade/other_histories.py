"""SQL and rules that tell whether tables of a database belong to this history, to another one, or to none."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from migration_sidecar.protocol.journal_schema import HISTORY, JournalTables

# True for a table `c` of pg_class that has the form of a version table.
HOLDS_VERSIONS = """(c.relkind = 'r' AND c.relnatts = 1 AND EXISTS (
    SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = 1 AND a.attname = 'version_num'))"""


def other_version_tables(tables: JournalTables, version_table: str) -> str:
    """A query: per other history in this journal, the files it applied, as `file_mark` writes them."""
    files = "array_agg(DISTINCT revision || ' ' || coalesce(detail->>'sha256', '')) AS files"
    return f"""SELECT {files} FROM {tables.journal}
               WHERE {HISTORY} <> {version_table} AND kind = 'applied' GROUP BY {HISTORY}"""  # noqa: S608 - quoted


def version_tables(version_table: str, own_schema: str) -> str:
    """A query: the other version tables of the same schema, qualified and quoted."""
    return f"""SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name
               FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = coalesce(nullif({own_schema}, ''), current_schema())
                 AND c.oid <> coalesce(to_regclass({version_table}), 0) AND {HOLDS_VERSIONS}
                 AND has_table_privilege(c.oid, 'SELECT') ORDER BY 1"""  # noqa: S608 - our own text


def version_rows(names: Iterable[str]) -> str:
    """A query: the revisions in each of these version tables, with the position of the table in `names`."""
    each = [f"SELECT {place} AS place, version_num::text AS held FROM {name}" for place, name in enumerate(names)]  # noqa: S608 - quoted
    return " UNION ALL ".join(each)


def revision_fingerprint(revision: str, sha256: str) -> str:
    """Identifies a revision file: two histories may use the same id, such as 0001, but not for the same file."""
    return f"{revision} {sha256}"


def are_unowned(
    histories: Iterable[Iterable[str]], versions: Iterable[Collection[str]], known: Collection[str]
) -> bool:
    """Whether no other history can have made the tables.

    `histories` are the file marks of the others in the journal, `versions` the rows of other version tables, `known`
    the file marks of this history. Another history must have a file that is not in `known`. Of one that only has a
    version table, no row may be an id of this history.
    """
    ids = {mark.partition(" ")[0] for mark in known}
    through_us = any(set(files) - set(known) for files in histories)
    return not through_us and not any(held and ids.isdisjoint(held) for held in versions)
