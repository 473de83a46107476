"""Turns a target such as `+1` or `abc` into an absolute one, by Alembic's own rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic.script.revision import (
    MultipleHeads,
    RangeNotAncestorError,
    ResolutionError,
    Revision,
    RevisionError,
    RevisionMap,
)

from migration_sidecar.protocol.results import ResolvedTarget
from migration_sidecar.worker.refusal import MigrationRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migration_sidecar.protocol.jobs import RevisionLine


def resolve(lines: Sequence[RevisionLine], action: str, target: str, rows: Sequence[str]) -> ResolvedTarget:
    """The result of a `resolve` job. Raises MigrationRefused (CM-203, CM-205).

    `lines` are all revisions; their files are not read, because some load only where env.py has prepared it. Relative
    targets count from `rows`, the revisions in the version table.
    """
    if target[:1] in ("+", "-") and len(rows) > 1:
        raise _refused(
            f"The database is at {', '.join(rows)}, so {target!r} could mean several things.",
            f"Say from which one, as in {rows[0]}@{target}.",
        )
    history = RevisionMap(lambda: [_revision(*line) for line in lines])
    find = _up if action == "upgrade" else _down
    try:
        absolute = find(history, target, tuple(rows))
        return {"target": absolute, "steps": _steps(history, action, absolute, tuple(rows))}
    except (RevisionError, AssertionError, KeyError) as error:
        raise _describe(target, error) from None


def _revision(revision: str, down: list[str], depends_on: list[str], labels: list[str]) -> Revision:
    return Revision(revision, tuple(down) or None, tuple(depends_on) or None, tuple(labels) or None)


def _up(history: RevisionMap, target: str, rows: tuple[str, ...]) -> str:
    goals = [
        getattr(goal, "revision", None)
        for goal in history._parse_upgrade_target(current_revisions=rows, target=target, assert_relative_length=True)
    ]
    if not goals or None in goals:
        raise _refused(f"{target!r} is not above the base, so nothing leads up to it.", "Name a revision, or head.")
    if len(goals) == 1:
        return str(goals[0])
    label, _, name = target.rpartition("@")
    return f"{_branch(history, label)}@{name}" if label else name


def _down(history: RevisionMap, target: str, rows: tuple[str, ...]) -> str:
    label, goal = history._parse_downgrade_target(current_revisions=rows, target=target, assert_relative_length=True)
    name = str(getattr(goal, "revision", None) or "base")
    if not label:
        return name
    narrow = f"{_branch(history, label)}@{name}"
    # The branch is part of the target only if it makes a difference.
    same = set(_steps(history, "downgrade", narrow, rows)) == set(_steps(history, "downgrade", name, rows))
    return name if same else narrow


def _branch(history: RevisionMap, label: str) -> str:
    if label in history._revision_map:
        return label
    branch = history._resolve_branch(label)
    return str(branch.revision) if branch is not None else label


def _steps(history: RevisionMap, action: str, target: str, rows: tuple[str, ...]) -> list[str]:
    if action == "upgrade":
        upwards = history.iterate_revisions(target, rows, implicit_base=True)
        return [str(step.revision) for step in reversed(list(upwards))]
    return [str(step.revision) for step in history.iterate_revisions(rows, target, select_for_downgrade=True)]


def _describe(target: str, error: BaseException) -> MigrationRefused:
    text = str(error)
    if isinstance(error, RangeNotAncestorError):
        return MigrationRefused(
            "CM-205", f"The database is not at or above {target!r}, so nothing can be reverted down to it."
        )
    if isinstance(error, MultipleHeads):
        return _refused(f"{target!r} could be {' or '.join(sorted(error.heads))}.", "Name one of them, or use heads.")
    if isinstance(error, ResolutionError) and text.startswith("Multiple revisions"):
        return _refused(f"Several revisions begin like {target!r}.", "Write more of it.")
    if "didn't produce" in text or "too far" in text:
        return _refused(f"{target!r} leads beyond the end of the history.", "Count again: see history and status.")
    if "Ambiguous" in text:
        return _refused(f"The history branches on the way to {target!r}.", "Name the revision itself.")
    if "overlaps" in text:
        return _refused(f"{target!r} means several heads, and one depends on another.", "Name one of them.")
    return _refused(
        f"{target!r} is no revision, no unique beginning of one and no branch of this history.",
        "See history for what there is.",
    )


def _refused(detail: str, next_step: str) -> MigrationRefused:
    return MigrationRefused("CM-203", detail, next_step)
