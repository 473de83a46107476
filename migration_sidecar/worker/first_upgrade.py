"""Refuses a first upgrade of tables that this history can have made. The session has the lock by then."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from migration_sidecar.protocol.first_upgrade.other_histories import (
    are_unowned,
    other_version_tables,
    revision_fingerprint,
    version_rows,
    version_tables,
)
from migration_sidecar.protocol.first_upgrade.relations import (
    Relation,
    exists_other_relation,
    first_upgrade_record,
    other_relations,
)
from migration_sidecar.protocol.first_upgrade.rule import WAYS_OUT, OwnTable, describe, in_the_way
from migration_sidecar.protocol.journal_schema import history_key
from migration_sidecar.worker.refusal import MigrationRefused
from migration_sidecar.worker.scripts.made_tables import made_by
from migration_sidecar.worker.scripts.source_tree import SourceTree

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from migration_sidecar.protocol.orders import MigrationOrders
    from migration_sidecar.protocol.version_table import VersionTable

TableName = tuple[str, str]  # schema and name
_NAMES = (":schema", ":journal", ":operations")


def require_own_base(
    connection: Connection,
    orders: MigrationOrders,
    version_table: VersionTable,
    sources: Mapping[str, bytes],
    own: Collection[OwnTable],
    there: frozenset[TableName] | None = None,
) -> frozenset[TableName]:
    """Raises MigrationRefused (CM-552) if there are tables that this history can have made; there is no version row.

    `sources` are the texts of its revision files by id, `own` the tables that env.py made or looked for by itself.
    Returns the tables that are there. For a further version table of the same env.py they are given as `there`: what
    its first one made does not count.
    """
    tables, history = orders.tables, history_key(version_table.name, version_table.schema)
    if orders.beside is not None:
        return frozenset()
    facts = {
        "version_table": version_table.qualified,
        "own_schema": version_table.schema,
        "landing": _translated(connection),
        "schema": tables.schema,
        "journal": tables.journal_name,
        "operations": tables.operations_name,
    }
    if not connection.execute(text(f"SELECT {exists_other_relation(':version_table', *_NAMES)}"), facts).scalar():
        return frozenset()
    recorded = text(first_upgrade_record(tables.journal, ":history"))
    record: Any = connection.execute(recorded, {"history": history}).first()
    query = other_relations(":version_table", ":own_schema", "CAST(:landing AS text)", *_NAMES)
    relations = [Relation(**row._mapping) for row in connection.execute(text(query), facts)]
    if there is not None:
        relations = [each for each in relations if (each.schema, each.name) in there]
    names = frozenset((each.schema, each.name) for each in relations)
    if record.is_base:
        return names
    others = connection.execute(text(other_version_tables(tables, ":history")), {"history": history})
    known = {revision_fingerprint(revision, sha256(source).hexdigest()) for revision, source in sources.items()}
    unowned = are_unowned([row.files for row in others], _versions_elsewhere(connection, facts), known)
    made = made_by({revision: SourceTree.parsed(source) for revision, source in sources.items()})
    found = in_the_way(relations, made, has_neighbours=not unowned, own=own, began_alone=record.began_alone)
    if found:
        raise MigrationRefused("CM-552", describe(found), WAYS_OUT)
    return names


def _translated(connection: Connection) -> str:
    """The schema that env.py lets SQLAlchemy put in place of none; empty if search_path decides."""
    translated = connection.get_execution_options().get("schema_translate_map") or {}
    return translated.get(None) or ""


def _versions_elsewhere(connection: Connection, facts: dict[str, str]) -> list[list[str]]:
    names = [row.name for row in connection.execute(text(version_tables(":version_table", ":own_schema")), facts)]
    # Quoted names may hold a colon, which text() would take for a parameter.
    rows = connection.execute(text(version_rows(names).replace(":", "\\:"))).fetchall() if names else []
    return [[row.held for row in rows if row.place == place] for place in range(len(names))]
