"""Detects our own env.py, which connects where the settings say and does nothing before its orders."""

from __future__ import annotations

from pathlib import Path

from migration_sidecar.config.alembic_files import AlembicFiles

MARK = "from migration_sidecar.environment import run"


def uses_our_environment(files: AlembicFiles, section: str) -> bool | None:
    """Whether the environment has our own env.py; None if no env.py is found. Raises ConfigFileError."""
    location = files.alembic("script_location", section)
    if not location:
        return None
    if ":" in location and not Path(location).is_absolute():
        return False  # in a package, which only the service's interpreter can find
    return next(
        (
            calls_environment_run(file)
            for base in (files.folder, Path.cwd())
            if (file := base / location / "env.py").exists()
        ),
        None,
    )


def calls_environment_run(env_file: Path) -> bool:
    """Whether this env.py calls `migration_sidecar.environment.run`."""
    try:
        return MARK in env_file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
