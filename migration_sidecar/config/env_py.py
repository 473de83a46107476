"""Whose env.py it is: ours connects where the settings say and does nothing before its orders."""

from __future__ import annotations

from pathlib import Path

from migration_sidecar.config.alembic_files import ConfigFiles

MARK = "from migration_sidecar.environment import run"


def is_our_own(files: ConfigFiles, section: str) -> bool | None:
    """None when there is no env.py to be seen from here; raises UnreadableFile."""
    location = files.alembic("script_location", section)
    if not location:
        return None
    if ":" in location and not Path(location).is_absolute():
        return False  # a package: only the service's interpreter knows where it is
    return next(
        (calls_us(file) for base in (files.folder, Path.cwd()) if (file := base / location / "env.py").exists()), None
    )


def calls_us(env_file: Path) -> bool:
    try:
        return MARK in env_file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
