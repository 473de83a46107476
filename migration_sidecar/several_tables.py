"""Where env.py keeps several version tables in one database, such as one per tenant: the one with most to do counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from migration_sidecar.errors import ProblemError
from migration_sidecar.facts import DatabaseFacts, read_facts
from migration_sidecar.history import History
from migration_sidecar.messages import Action, Problem
from migration_sidecar.store import Records

if TYPE_CHECKING:
    from migration_sidecar.store import AnyConnection


async def read_farthest(
    connection: AnyConnection, tables: Sequence[Records], history: History, action: Action, target: str
) -> tuple[DatabaseFacts, Problem | None]:
    """With a word about the others, if they are elsewhere."""
    found = [await read_facts(connection, records) for records in tables]
    if len(found) == 1:
        return found[0], None
    ways = [_way_to_go(facts, history, action, target) for facts in found]
    farthest = ways.index(max(ways))
    alike = len({facts.revisions for facts in found}) == 1
    return found[farthest], None if alike else _elsewhere(tables, tables[farthest])


def _way_to_go(facts: DatabaseFacts, history: History, action: Action, target: str) -> tuple[bool, int]:
    """What these files do not know comes before everything."""
    if not set(facts.revisions) <= set(history.revisions):
        return True, 0
    try:
        return False, len(history.between(action, facts.revisions, target))
    except ProblemError:  # a target that this one is not at or above
        return False, 0


def _elsewhere(tables: Sequence[Records], farthest: Records) -> Problem:
    return Problem(
        code="CM-412",
        title="Several version tables are at different revisions",
        detail=f"env.py keeps {len(tables)} version tables in this database; {farthest.history} has most to do.",
        next_step="Upgrade: one operation brings all of them to its target.",
    )
