"""Detects our own env.py, which connects where the settings say and does nothing before its orders."""

from __future__ import annotations

from pathlib import Path

from migration_sidecar.config.alembic_files import AlembicFiles

MARK = "from migration_sidecar.environment import run"
_IMPORTED = b"migration_sidecar.environment"


def uses_our_environment(files: AlembicFiles, section: str) -> bool | None:
    """Whether the environment has our own env.py; None if no env.py is found. Raises ConfigFileError."""
    location = files.alembic("script_location", section)
    if not location:
        return None
    if ":" in location and not Path(location).is_absolute():
        return False  # in a package, which only the service's interpreter can find
    found = (file for base in (files.folder, Path.cwd()) for file in _env_files(base / location))
    return next((calls_environment_run(file) for file in found), None)


def _env_files(folder: Path) -> list[Path]:
    """env.py, or what Alembic takes where there is none: the compiled one."""
    places = [folder / "env.py", folder / "env.pyc", *folder.glob("__pycache__/env.*.pyc")]
    return [file for file in places if file.exists()][:1]


def calls_environment_run(env_file: Path) -> bool:
    """Whether this env.py, which may be a compiled one, calls `migration_sidecar.environment.run`."""
    try:
        source = env_file.read_bytes()
        return (_IMPORTED if env_file.suffix == ".pyc" else MARK.encode()) in source
    except OSError:
        return False
