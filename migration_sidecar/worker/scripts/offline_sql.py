"""Renders the SQL of a revision without a database."""

from __future__ import annotations

from contextlib import suppress
from io import StringIO
from typing import TYPE_CHECKING

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

from migration_sidecar.worker.scripts.script_directory import ready_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alembic.config import Config


def render(config: Config, revisions: list[str], action: str, folders: Sequence[str] = ()) -> dict[str, str]:
    """The result of a `render` job: SQL by revision id. A revision that needs a connection is left out."""
    directory = ready_folder(config, folders)
    rendered = {}
    for revision in revisions:
        script = directory.get_revision(revision)
        with suppress(Exception):
            rendered[revision] = _render(getattr(script.module, action))
    return rendered


def _render(step: object) -> str:
    buffer = StringIO()
    context = MigrationContext.configure(dialect_name="postgresql", opts={"as_sql": True, "output_buffer": buffer})
    with Operations.context(context):
        step()  # type: ignore[operator]
    return buffer.getvalue().strip()
