"""The rule: which tables stand in the way of a first upgrade, because this history can have made them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple

from migration_sidecar.protocol.first_upgrade.known_names import LIBRARY_TABLES, PLATFORM_SCHEMAS
from migration_sidecar.protocol.first_upgrade.relations import Relation
from migration_sidecar.protocol.results import MadeTables

ANY_SCHEMA = "*"
# What stands in the database at a first upgrade: nothing that this history can have made, or tables that somebody
# called other people's.
Beside = Literal["nothing", "other_tables"]
NOTHING: Beside = "nothing"
OTHER_TABLES: Beside = "other_tables"
MOST_NAMED = 3
WAYS_OUT = (
    "If they are other people's (another library's, a platform's, made by hand), say so once, and it runs as with bare"
    " alembic: --beside-other-tables, or beside_other_tables in the settings, in the request or in fleet.toml. If they"
    " are this history's own and the row is lost: migration-sidecar adopt --revision REVISION, which compares, writes"
    " the row, and changes no table."
)


class OwnTable(NamedTuple):
    """A table that env.py makes by itself, before any revision runs."""

    schema: str  # empty if it names none
    name: str


class InTheWay(NamedTuple):
    """A table that nobody can tell apart from one of this history."""

    relation: Relation
    revision: str  # that makes it, or may make it
    column: str = ""  # if the revision only adds this column to it
    is_named: bool = True  # false if the revision's tables cannot be read in its file


def unread() -> MadeTables:
    """What a history can have made whose files cannot be read at all."""
    return {"tables": [], "columns": [], "unread": [""]}


def in_the_way(
    relations: Iterable[Relation],
    made: MadeTables,
    *,
    has_neighbours: bool,
    own: Collection[OwnTable] = (),
    began_alone: bool = False,
) -> list[InTheWay]:
    """The tables that stop a first upgrade.

    `has_neighbours` says that another history is in this database, which explains tables that nobody names. What env.py
    makes by itself (`own`) does not count while it is empty; where a first upgrade began with none of them, never.
    """
    rule = _Rule(made, has_neighbours, frozenset(own), own_may_be_filled=began_alone)
    return [found for each in relations if (found := rule.judge(each)) is not None]


def stands_alone(relations: Iterable[Relation], made: MadeTables, *, own: Collection[OwnTable] = ()) -> bool:
    """Whether no table has a name that this history makes, in whichever schema env.py's session will work.

    Then a table of that name that the worker finds was made by env.py itself in the meantime.
    """
    anywhere = [each._replace(on_path=True, has_neighbour=False) for each in relations]
    return not in_the_way(anywhere, _in_any_schema(made), has_neighbours=False, own=own)


def describe(found: Collection[InTheWay], what: str = "There is no version row") -> str:
    """One sentence about them."""
    first = next(iter(found))
    names = ", ".join(each.relation.full_name for each in list(found)[:MOST_NAMED])
    names += f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    if first.column:
        reason = f"revision {first.revision} adds its column {first.column}"
    elif first.is_named:
        reason = f"revision {first.revision} makes {'it' if len(found) == 1 else first.relation.name}"
    else:
        reason = "which tables this history makes cannot be read in its files"
        reason += f" (revision {first.revision})" if first.revision else ""
    return f"{what}, but {names} {'is' if len(found) == 1 else 'are'} in the database, and {reason}."


class _Rule:
    def __init__(
        self, made: MadeTables, has_neighbours: bool, own: frozenset[OwnTable], *, own_may_be_filled: bool
    ) -> None:
        self._tables: dict[str, list[tuple[str, str]]] = {}
        for schema, name, revision in made["tables"]:
            self._tables.setdefault(_fold(name), []).append((schema, revision))
        self._columns: dict[str, list[tuple[str, str, str]]] = {}
        for schema, name, column, revision in made["columns"]:
            self._columns.setdefault(_fold(name), []).append((schema, column, revision))
        self._unread = None if has_neighbours or not made["unread"] else made["unread"][0]
        self._own = {(each.schema, _fold(each.name)) for each in own}
        self._own_may_be_filled = own_may_be_filled

    def judge(self, relation: Relation) -> InTheWay | None:
        name = _fold(relation.name)
        if (self._own_may_be_filled or not relation.is_filled) and self._is_own(relation, name):
            return None
        for schema, revision in self._tables.get(name, ()):
            if _may_mean(schema, relation):
                return InTheWay(relation, revision)
        for schema, column, revision in self._columns.get(name, ()):
            if _may_mean(schema, relation) and column in relation.columns and not self._is_own(relation, name):
                return InTheWay(relation, revision, column)
        if self._unread is None or relation.has_neighbour or _is_a_platforms(relation):
            return None
        return InTheWay(relation, self._unread, is_named=False)

    def _is_own(self, relation: Relation, name: str) -> bool:
        return (relation.schema, name) in self._own or (relation.on_path and ("", name) in self._own)


def _in_any_schema(made: MadeTables) -> MadeTables:
    return {
        "tables": [("", name, revision) for _, name, revision in made["tables"]],
        "columns": [("", name, column, revision) for _, name, column, revision in made["columns"]],
        "unread": made["unread"],
    }


def _may_mean(schema: str, relation: Relation) -> bool:
    if schema == ANY_SCHEMA:
        return not relation.has_neighbour
    return relation.on_path if not schema else _fold(schema) == _fold(relation.schema)


def _is_a_platforms(relation: Relation) -> bool:
    return relation.schema in PLATFORM_SCHEMAS or relation.name.lower() in LIBRARY_TABLES


def _fold(name: str) -> str:
    """Whether PostgreSQL makes other letters than ASCII small depends on the database's encoding."""
    return "".join(each if each < "\x80" else each.lower() for each in name)
