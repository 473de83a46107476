"""Where env.py keeps several version tables in one database, such as one per tenant: the one with most to do counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from migration_sidecar.alembic_environment.history import History, RevisionFile
from migration_sidecar.contract.errors import ProblemError
from migration_sidecar.contract.messages import Problem
from migration_sidecar.database.facts import DatabaseFacts, read_facts
from migration_sidecar.database.records import MigrationRecords

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection


async def read_most_behind(
    connection: AnyConnection,
    tables: Sequence[MigrationRecords],
    way_to_go: Callable[[DatabaseFacts], tuple[bool, int]],
) -> tuple[DatabaseFacts, Problem | None]:
    """With a word about the others, if they are elsewhere; the greatest `way_to_go` is the farthest."""
    found = [await read_facts(connection, records) for records in tables]
    if len(found) == 1:
        return found[0], None
    ways = [way_to_go(facts) for facts in found]
    farthest = ways.index(max(ways))
    alike = len({facts.revisions for facts in found}) == 1
    return found[farthest], None if alike else _elsewhere(tables, tables[farthest])


def pending_count(
    history: History,
    steps: Callable[[DatabaseFacts], list[RevisionFile]],
    is_there: Callable[[DatabaseFacts], bool] = lambda _: False,
) -> Callable[[DatabaseFacts], tuple[bool, int]]:
    """By the steps that the files tell; what is there by its version table alone comes behind everything."""

    def way(facts: DatabaseFacts) -> tuple[bool, int]:
        if is_there(facts):
            return False, -1
        if not history.knows(facts.revisions):
            return True, 0  # before everything
        try:
            return False, len(steps(facts))
        except ProblemError:  # a target that this one is not at or above
            return False, 0

    return way


def _elsewhere(tables: Sequence[MigrationRecords], farthest: MigrationRecords) -> Problem:
    return Problem.of(
        "CM-412", f"env.py keeps {len(tables)} version tables in this database; {farthest.history} has most to do."
    )
