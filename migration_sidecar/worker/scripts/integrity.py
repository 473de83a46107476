"""Checks ids and references of revision files before Alembic builds its map, and names file and line of an error."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from migration_sidecar.worker.refusal import MigrationRefused
from migration_sidecar.worker.scripts.static_analysis import line_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from alembic.script import Script

# Alembic puts ids into SQL text without quoting.
_ID = re.compile(r"[A-Za-z0-9_.]{1,255}")


def check_files(scripts: Sequence[Script]) -> None:
    """Raises MigrationRefused (CM-302) for an unusable or repeated id, and for a reference to a missing one."""
    by_id: dict[str, Script] = {}
    for script in scripts:
        if not isinstance(script.revision, str) or not _ID.fullmatch(script.revision):
            raise broken_file(
                f"{file_and_line(script, 'revision')} has an id that cannot be used.",
                "Use letters, digits, _ and . only.",
            )
        if script.revision in by_id:
            raise broken_file(
                f"Revision {script.revision} is there twice: {file_and_line(by_id[script.revision], 'revision')} and "
                f"{file_and_line(script, 'revision')}.",
                "Remove one of the two, or give it an id of its own.",
            )
        by_id[script.revision] = script
    known: set[object] = set(by_id).union(*(_words(script, "branch_labels") for script in scripts))
    for script in scripts:
        for name in ("down_revision", "depends_on"):
            for missing in [each for each in _words(script, name) if each not in known]:
                raise broken_file(
                    f"{file_and_line(script, name)} names {name} {missing!r}, and no file has that revision.",
                    f"Restore the file of {missing}, or correct {name}.",
                )


def find_cycle(revisions: Iterable[str], scripts: Sequence[Script]) -> MigrationRefused:
    """The refusal (CM-302) for revisions that build on each other in a circle."""
    inside = [script for script in scripts if script.revision in set(revisions)]
    where = ", ".join(f"{script.revision} ({file_and_line(script, 'down_revision')})" for script in inside)
    return broken_file(
        f"Revisions build on each other in a circle: {where}.", "Correct down_revision or depends_on of one of them."
    )


def broken_file(detail: str, next_step: str | None = None) -> MigrationRefused:
    """The refusal (CM-302) for a history that is not consistent."""
    return MigrationRefused("CM-302", detail, next_step)


def file_and_line(script: Script, name: str) -> str:
    """The file name and the line where the module assigns this name."""
    return f"{Path(script.path).name}:{line_of(script.path, name)}"


def _words(script: Script, name: str) -> tuple[object, ...]:
    value = getattr(script.module, name, None)
    return tuple(value or ()) if value is None or isinstance(value, (list, tuple, set, frozenset)) else (value,)
