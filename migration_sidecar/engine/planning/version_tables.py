"""For an env.py with several version tables in one database, such as one per tenant: uses the one with most to do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from migration_sidecar.alembic_environment.history import History, RevisionFile
from migration_sidecar.contract.errors import ProblemError
from migration_sidecar.contract.messages import Problem
from migration_sidecar.database.facts import DatabaseFacts
from migration_sidecar.database.records import MigrationRecords


async def read_most_behind(
    read: Callable[[MigrationRecords], Awaitable[DatabaseFacts]],
    tables: Sequence[MigrationRecords],
    distance: Callable[[DatabaseFacts], tuple[bool, int]],
) -> tuple[DatabaseFacts, Problem | None]:
    """The facts of the table with the greatest `distance`, and a warning if the others are at other revisions."""
    all_facts = [await read(records) for records in tables]
    if len(all_facts) == 1:
        return all_facts[0], None
    distances = [distance(facts) for facts in all_facts]
    farthest = distances.index(max(distances))
    alike = len({facts.revisions for facts in all_facts}) == 1
    return all_facts[farthest], None if alike else _differing_version_tables(tables, tables[farthest])


def pending_count(
    history: History,
    steps: Callable[[DatabaseFacts], list[RevisionFile]],
    is_reached: Callable[[DatabaseFacts], bool] = lambda _: False,
) -> Callable[[DatabaseFacts], tuple[bool, int]]:
    """A function for `read_most_behind`, which counts `steps`. A table for which `is_reached` is true comes last."""

    def distance(facts: DatabaseFacts) -> tuple[bool, int]:
        if is_reached(facts):
            return False, -1
        if not history.knows(facts.revisions):
            return True, 0  # nothing is known about it, so it comes first
        try:
            return False, len(steps(facts))
        except ProblemError:  # the target is not reachable from this table
            return False, 0

    return distance


def _differing_version_tables(tables: Sequence[MigrationRecords], farthest: MigrationRecords) -> Problem:
    return Problem.of(
        "CM-412", f"env.py keeps {len(tables)} version tables in this database; {farthest.history} has most to do."
    )
