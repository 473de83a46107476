"""What the version table holds after a step, as Alembic changes its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from migration_sidecar.alembic_environment.history import History, RevisionFile


def rows_after_upgrade(history: History, rows: set[str], step: RevisionFile) -> set[str]:
    """The rows after the step was applied."""
    replaced = rows.intersection(history.below[step.id])
    if len(replaced) > 1:
        replaced -= history.ancestors(rows.difference(history.below[step.id]))
    return rows - replaced | {step.id}


def rows_after_downgrade(history: History, rows: set[str], step: RevisionFile) -> set[str]:
    """The rows after the step was reverted."""
    others, under = rows - {step.id}, set(history.below[step.id])
    implied = history.ancestors(others) if others else history.strictly_below(under)
    return others | (under - implied)
