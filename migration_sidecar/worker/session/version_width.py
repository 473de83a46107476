"""Refuses a revision whose id is too long for the version column, as soon as that is certain."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from migration_sidecar.worker.refusal import MigrationRefused
from migration_sidecar.worker.scripts.source_tree import SourceTree
from migration_sidecar.worker.scripts.version_column import may_widen_version_column
from migration_sidecar.worker.version_table import find, named_schema

ALEMBIC_WIDTH = 32  # of the column that Alembic makes


def require_width(context: Any, steps: Collection[Any], sources: Mapping[str, bytes]) -> None:
    """Called before the first change. Raises MigrationRefused (CM-302) for an id that no revision before makes fit."""
    width = _width(context)
    if all(_fits(step.revision.revision, width) for step in steps):
        return  # as nearly always, and then no file need be read
    for step in steps:
        source = sources[step.revision.revision]
        if not step.is_upgrade or may_widen_version_column(source, SourceTree.parsed(source)):
            return  # from here on it is known only when it runs
        _require(step.revision.revision, width)


def require_width_now(context: Any, revision: str) -> None:
    """Called after a revision's statements, before Alembic writes its id. Raises MigrationRefused (CM-302)."""
    if len(revision) > ALEMBIC_WIDTH:
        _require(revision, _width(context))


def _width(context: Any) -> int | None:
    schema = named_schema(context.connection, context.version_table_schema)
    found = find(context.connection, context.version_table, schema)
    return found.width if found.oid is not None else ALEMBIC_WIDTH


def _fits(revision: str, width: int | None) -> bool:
    return width is None or len(revision) <= width


def _require(revision: str, width: int | None) -> None:
    if not _fits(revision, width):
        raise MigrationRefused(
            "CM-302",
            f"The id {revision} has {len(revision)} characters, and the version column holds {width}.",
            "Shorten the id, or make the column wider in a revision before it.",
            revision=revision,
        )
