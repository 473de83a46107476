"""Remarks about what nobody can know before a migration; the migration itself refuses what is wrong then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from migration_sidecar.alembic_environment.history import History, RevisionFile
from migration_sidecar.contract.messages import Action, Problem
from migration_sidecar.database.facts import DatabaseFacts
from migration_sidecar.engine.planning import version_width


def known_when_it_runs(
    steps: Sequence[RevisionFile], action: Action, history: History, facts: DatabaseFacts
) -> Iterator[Problem]:
    """The warnings (CM-416) of a plan."""
    if facts.is_prepared:
        at = ", ".join(facts.revisions) or "base"
        detail = f"The database is at {at} once env.py has changed the version table, which it does before it migrates."
        yield Problem.of("CM-416", detail)
    if action is Action.UPGRADE:
        yield from version_width.remarks(steps, history, facts)
