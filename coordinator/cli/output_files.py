"""Files that a command leaves behind: whole, or not at all."""

from __future__ import annotations

from pathlib import Path

from coordinator.client.errors import BadInput


def refuse_to_overwrite(file: Path, *, force: bool) -> None:
    """What was given away once may be evidence; and a folder that is not there is said before anything is fetched."""
    if file.exists() and not force:
        raise BadInput("The file is there already", f"{file} would be overwritten", "name another one, or say --force")
    if not file.parent.is_dir():
        raise BadInput("The file cannot be written", f"there is no folder {file.parent}", "make it, or name another")
