"""Finds out whether Flask-Migrate keeps the environment. Then the application names its folder, and no file does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from migration_sidecar.config.alembic_files import TOML_NAME, AlembicFiles
from migration_sidecar.protocol.jobs import FlaskApplication

USUAL_FOLDER = "migrations"
MODULES = ("wsgi.py", "app.py")  # where Flask looks for an application that nobody names
VARIABLE = "FLASK_APP"


def locate(
    config_file: Path | None, environment: Mapping[str, str], app: str | None
) -> tuple[AlembicFiles, FlaskApplication | None]:
    """The files with the settings, and how the application is named if Flask-Migrate keeps the environment.

    Without `app`, a file that Alembic would use comes first. Raises ConfigFileError.
    """
    files = AlembicFiles.locate(config_file, environment)
    folder = Path.cwd()
    if app is None and (
        config_file is not None or _has_alembic(files, environment) or not _is_named(folder, environment)
    ):
        return files, None
    if config_file is None or files.named.name == TOML_NAME:
        return AlembicFiles(folder / USUAL_FOLDER / "alembic.ini", folder), {"app": app, "directory": None}
    return AlembicFiles(files.named, folder), {"app": app, "directory": str(files.named.parent)}


def _has_alembic(files: AlembicFiles, environment: Mapping[str, str]) -> bool:
    if environment.get("ALEMBIC_CONFIG"):
        return True
    return files.named.exists() and (files.named.name != TOML_NAME or files.has_section("alembic"))


def _is_named(folder: Path, environment: Mapping[str, str]) -> bool:
    """Whether Flask would find an application; only an interpreter that has Flask can say what it is."""
    if environment.get(VARIABLE) or any((folder / name).is_file() for name in MODULES):
        return True
    above = (each / name for each in (folder, *folder.parents) for name in (".flaskenv", ".env"))
    return any(VARIABLE in file.read_text(encoding="utf-8", errors="replace") for file in above if _is_readable(file))


def _is_readable(file: Path) -> bool:
    try:
        with file.open(encoding="utf-8"):
            return True
    except OSError:
        return False
