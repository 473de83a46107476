"""Tells whether Alembic's autogenerate would take the journal for tables that no model describes any more.

Then `alembic check` fails, and `alembic revision --autogenerate` writes a revision that drops the journal. No place in
the database can hide a table from it; only what env.py passes to context.configure can.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import MetaData, Table

from migration_sidecar.protocol.journal_schema import JournalTables


def sees_journal(connection: Any, options: dict[str, Any], tables: JournalTables) -> bool:
    """Whether one of our tables is compared. `options` are those of context.configure."""
    if options.get("target_metadata") is None:
        return False  # autogenerate refuses to run
    schema = None if tables.schema == connection.dialect.default_schema_name else tables.schema
    if schema is not None and not options.get("include_schemas"):
        return False
    return any(_is_compared(name, schema, options) for name in (tables.journal_name, tables.operations_name))


def without_journal(options: dict[str, Any], tables: JournalTables) -> dict[str, Any]:
    """The options with a filter that leaves out our tables; a filter of somebody's own decides about the others."""
    theirs = options.get("include_name")

    def include_name(name: str | None, kind: str, parents: dict[str, Any]) -> bool:
        ours = kind == "table" and name in (tables.journal_name, tables.operations_name)
        if ours and (parents.get("schema_name") or "public") == tables.schema:
            return False
        return theirs is None or bool(theirs(name, kind, parents))

    return {**options, "include_name": include_name}


def _is_compared(name: str, schema: str | None, options: dict[str, Any]) -> bool:
    """As Alembic asks the filters. One that fails for our table is taken for one that lets it through."""
    include_name, include_object = options.get("include_name"), options.get("include_object")
    parents = {"schema_name": schema, "schema_qualified_table_name": f"{schema}.{name}" if schema else name}
    try:
        if include_name is not None and not (
            include_name(schema, "schema", {}) and include_name(name, "table", parents)
        ):
            return False
        table = Table(name, MetaData(), schema=schema)
        return include_object is None or bool(include_object(table, name, "table", True, None))
    except Exception:
        return True
