"""All that keeps a migration from beginning, in the order in which a person should read it."""

from __future__ import annotations

from migration_sidecar.alembic_environment.history import History, RevisionFile
from migration_sidecar.alembic_environment.migration_target import MigrationTarget
from migration_sidecar.contract.messages import Action, Problem
from migration_sidecar.database.facts import DatabaseFacts
from migration_sidecar.engine.planning.database_state import classify
from migration_sidecar.engine.planning.preflight import (
    check_database,
    check_history,
    check_revision_files,
    journal_in_sight,
)


def find_obstacles(
    history: History, facts: DatabaseFacts, migration_target: MigrationTarget, action: Action, steps: list[RevisionFile]
) -> list[Problem]:
    """The problems of database, env.py and the revision files to run."""
    history_problem = check_history(classify(facts, history), facts, history)
    file_problems = check_revision_files(steps, action, history, facts, migration_target)
    # Where the probe of env.py failed, the migration would fail in the same way.
    of_env_py = (migration_target.reason, journal_in_sight(migration_target, has_journal=facts.has_journal))
    return [*check_database(facts, history_problem, migration_target), *filter(None, of_env_py), *file_problems]
