"""Two databases side by side: what each is made of, and every difference between them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from migration_sidecar.contract.messages import Message
from migration_sidecar.database.records import Records
from migration_sidecar.protocol.catalog.snapshot import COLUMN_ORDER, PLAIN_PRINT, WHOSE, Fact, LeftOut, query

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection

SNAPSHOT_SECONDS = 60.0
OUR_SCHEMA = "migration_sidecar"


class Difference(Message):
    """One thing that is not the same; None where it is not there at all."""

    kind: str
    object: str
    in_database: str | None
    in_revision: str | None


def left_out(records: Records) -> LeftOut:
    """Our own tables and Alembic's, which are there because of the history and not through it."""
    tables, version_table = records.tables, records.version_table
    return LeftOut(
        schemas=(OUR_SCHEMA,),
        relations=(
            (version_table.schema, version_table.name),
            (tables.schema, tables.journal_name),
            (tables.schema, tables.operations_name),
        ),
    )


async def snapshot(connection: AnyConnection, left: LeftOut) -> list[Fact]:
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(PLAIN_PRINT)
        rows = await connection.fetch(query(left), timeout=SNAPSHOT_SECONDS)
    return [Fact(*row) for row in rows]


def differences(
    database: Iterable[Fact], revision: Iterable[Fact], *, leaving: Collection[str] = WHOSE
) -> list[Difference]:
    """Sorted by object; `leaving` are kinds that are not looked at."""
    there, wanted = _by_name(database, leaving), _by_name(revision, leaving)
    found = [
        Difference(kind=kind, object=name, in_database=there.get((kind, name)), in_revision=wanted.get((kind, name)))
        for kind, name in there.keys() | wanted.keys()
        if there.get((kind, name)) != wanted.get((kind, name))
    ]
    return sorted(filter(_counts, found), key=lambda each: (each.object, each.kind))


def _by_name(facts: Iterable[Fact], leaving: Collection[str]) -> dict[tuple[str, str], str]:
    return {(fact.kind, fact.object): fact.definition for fact in facts if fact.kind not in leaving}


def _counts(difference: Difference) -> bool:
    """A column that is there or not is told as such: the order is about the columns that both have."""
    if (difference.kind, difference.object) == ("schema", "public"):
        return False  # every new database has it, and what is in it is told by itself
    if difference.kind != COLUMN_ORDER:
        return True
    if difference.in_database is None or difference.in_revision is None:
        return False
    ours, theirs = json.loads(difference.in_database), json.loads(difference.in_revision)
    return [name for name in ours if name in theirs] != [name for name in theirs if name in ours]
