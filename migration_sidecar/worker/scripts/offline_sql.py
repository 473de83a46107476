"""Renders the SQL of revisions without a database."""

from __future__ import annotations

from contextlib import ExitStack
from io import StringIO
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

from migration_sidecar.protocol.results import RenderedSql
from migration_sidecar.worker.scripts.script_directory import open_ready_directory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alembic.config import Config
    from alembic.script import Script


def render(config: Config, revisions: list[str], action: str, folders: Sequence[str] = ()) -> dict[str, RenderedSql]:
    """The result of a `render` job: for each revision its SQL, or why it has none without a connection."""
    with ExitStack() as stack:
        directory = open_ready_directory(config, stack, folders)
        return {revision: _rendered(directory.get_revision(revision), action) for revision in revisions}


def _rendered(script: Script, action: str) -> RenderedSql:
    try:
        return {"sql": _sql(getattr(script.module, action)), "reason": None}
    except BaseException as error:  # a revision may raise SystemExit
        return {"sql": None, "reason": f"{_place(script, error)} raised {type(error).__name__} without a connection"}


def _place(script: Script, error: BaseException) -> str:
    file = Path(script.path)
    lines = [frame.lineno for frame in extract_tb(error.__traceback__) if Path(frame.filename) == file]
    return f"{file.name}:{lines[-1]}" if lines else file.name


def _sql(step: object) -> str:
    buffer = StringIO()
    context = MigrationContext.configure(dialect_name="postgresql", opts={"as_sql": True, "output_buffer": buffer})
    with Operations.context(context):
        step()  # type: ignore[operator]
    return buffer.getvalue().strip()
