"""Compares the objects of two databases."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from migration_sidecar.contract.messages import Message
from migration_sidecar.database.records import MigrationRecords
from migration_sidecar.protocol.catalog.snapshot import (
    COLUMN_ORDER,
    OWNERSHIP_KINDS,
    PLAIN_PRINT,
    CatalogObject,
    Exclusions,
    query,
)

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection

SNAPSHOT_SECONDS = 60.0
OUR_SCHEMA = "migration_sidecar"


class Difference(Message):
    """An object that differs, with its definition in each database. None means that it is missing there."""

    kind: str
    object: str
    in_database: str | None
    in_revision: str | None


def exclusions(records: MigrationRecords) -> Exclusions:
    """Our own tables and Alembic's, which no revision makes, so they are not compared."""
    tables, version_table = records.tables, records.version_table
    return Exclusions(
        schemas=(OUR_SCHEMA,),
        relations=(
            (version_table.schema, version_table.name),
            (tables.schema, tables.journal_name),
            (tables.schema, tables.operations_name),
        ),
    )


async def snapshot(connection: AnyConnection, left: Exclusions) -> list[CatalogObject]:
    """All objects of a database at one moment, in at most SNAPSHOT_SECONDS."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(PLAIN_PRINT)
        rows = await connection.fetch(query(left), timeout=SNAPSHOT_SECONDS)
    return [CatalogObject(*row) for row in rows]


def differences(
    database: Iterable[CatalogObject], revision: Iterable[CatalogObject], *, leaving: Collection[str] = OWNERSHIP_KINDS
) -> list[Difference]:
    """All differences, sorted by object. Kinds in `leaving` are not compared."""
    there, wanted = _by_name(database, leaving), _by_name(revision, leaving)
    different = [
        Difference(kind=kind, object=name, in_database=there.get((kind, name)), in_revision=wanted.get((kind, name)))
        for kind, name in there.keys() | wanted.keys()
        if there.get((kind, name)) != wanted.get((kind, name))
    ]
    return sorted(filter(_is_reported, different), key=lambda each: (each.object, each.kind))


def _by_name(facts: Iterable[CatalogObject], leaving: Collection[str]) -> dict[tuple[str, str], str]:
    return {(fact.kind, fact.object): fact.definition for fact in facts if fact.kind not in leaving}


def _is_reported(difference: Difference) -> bool:
    """Whether a difference is reported. The order of columns is compared for those columns that both have."""
    if (difference.kind, difference.object) == ("schema", "public"):
        return False  # every new database has it, and its objects are compared anyway
    if difference.kind != COLUMN_ORDER:
        return True
    if difference.in_database is None or difference.in_revision is None:
        return False
    ours, theirs = json.loads(difference.in_database), json.loads(difference.in_revision)
    return [name for name in ours if name in theirs] != [name for name in theirs if name in ours]
