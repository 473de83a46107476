"""Whether the version column can hold the ids of the revisions to apply. A revision may make it wider on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from migration_sidecar.alembic_environment.history import History, RevisionFile
from migration_sidecar.contract.messages import Problem
from migration_sidecar.database.facts import DatabaseFacts

ALEMBIC_WIDTH = 32  # if Alembic creates the table


def obstacles(steps: Sequence[RevisionFile], history: History, facts: DatabaseFacts) -> Iterator[Problem]:
    """The revisions whose ids are certainly too long."""
    for step, may_be_widened in _too_long(steps, history, facts):
        if not may_be_widened:
            yield Problem.of(
                "CM-302",
                f"{_length(step)}; the version column holds {_width(facts)}.",
                next_step="Shorten the id, or make the column wider.",
                revision=step.id,
            )


def remarks(steps: Sequence[RevisionFile], history: History, facts: DatabaseFacts) -> Iterator[Problem]:
    """The others, before or in which a revision may make the column wider."""
    for step, may_be_widened in _too_long(steps, history, facts):
        if may_be_widened:
            detail = f"{_length(step)}; the version column holds {_width(facts)} now, and a revision may make it wider."
            yield Problem.of("CM-416", detail, revision=step.id)


def _too_long(
    steps: Sequence[RevisionFile], history: History, facts: DatabaseFacts
) -> Iterator[tuple[RevisionFile, bool]]:
    """The revisions that do not fit now, each with whether it may fit when Alembic writes its id."""
    width, may_be_widened = _width(facts), False
    if history.makes_version_table and not facts.has_version_table:
        return
    for step in steps:
        may_be_widened = may_be_widened or step.may_widen_version
        if width is not None and len(step.id) > width:
            yield step, may_be_widened


def _width(facts: DatabaseFacts) -> int | None:
    return facts.version_width if facts.has_version_table else ALEMBIC_WIDTH


def _length(step: RevisionFile) -> str:
    return f"{step.name} has a revision id of {len(step.id)} characters"
