"""The refusals for everything that prevents loading revision files or env.py: which file, which line, what to do."""

from __future__ import annotations

import ast
from configparser import Error as IniError
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING

from alembic.script.revision import RevisionError
from alembic.util import CommandError
from alembic.util.pyfiles import pyc_file_from_path

from migration_sidecar.contract.problem_catalogue.migrations import NO_SCRIPT_LOCATION
from migration_sidecar.worker.failure_report import memory_used_up, unusable_setting
from migration_sidecar.worker.refusal import MigrationRefused
from migration_sidecar.worker.scripts.integrity import broken_file
from migration_sidecar.worker.source_text import decode_source, read_source

if TYPE_CHECKING:
    from collections.abc import Sequence

MORE_TIME = (
    "If it only needs more time, raise loading_seconds (--loading-seconds, MIGRATION_LOADING_SECONDS); otherwise look "
    "for a loop or a wait there."
)


def missing_folder(config_file: str, error: Exception, *, named: bool) -> MigrationRefused:
    """For what `ScriptDirectory.from_config` raised. Its text is not used: it may hold a path or a password.

    `named` is whether the configuration has a script_location.
    """
    if isinstance(error, IniError):
        return unusable_setting(error)
    if isinstance(error, ImportError):
        reason = f"names a package that cannot be imported ({error.name})"
    elif not named:
        return _unusable(f"{config_file} names no script_location.", NO_SCRIPT_LOCATION)
    else:
        reason = "names a script_location that is not there"
    return _unusable(f"{config_file} {reason}.", "Correct script_location, or put the folder into the image.")


def require_env_file(path: Path) -> str:
    """The text of env.py; raises MigrationRefused (CM-303, CM-304) if it is missing or not Python.

    Of a compiled one, which Alembic takes where there is no other, the text is what can be read of its names.
    """
    compiled = None if path.exists() else pyc_file_from_path(path)
    if compiled is not None:
        return Path(compiled).read_bytes().decode("latin-1")
    try:
        source = path.read_bytes()
    except OSError as error:
        reason = "is not there" if isinstance(error, FileNotFoundError) else "cannot be read"
        raise _unusable(
            f"{path.parent.name}/env.py {reason}.", "Put it into the image; alembic init makes one."
        ) from None
    try:
        ast.parse(source)
    except (SyntaxError, ValueError) as error:
        line, reason = getattr(error, "lineno", None) or 1, getattr(error, "msg", "null bytes")
        raise _broken_file(f"env.py:{line}", f"it is not valid Python ({reason})") from None
    return decode_source(source)


def no_revisions(folders: Sequence[Path]) -> MigrationRefused:
    """For folders without any revision file, with the most likely reason."""
    present = [folder for folder in folders if folder.is_dir()]
    names = ", ".join(f"{folder.parent.name}/{folder.name}" for folder in folders)
    if not present:
        return _unusable(f"The folder {names} is not there.", "Put the revision files into the image.")
    if any(file for folder in present for file in folder.rglob("*.pyc")):
        return _unusable(
            f"{names} holds only compiled files (.pyc), and sourceless is off.",
            "Put the .py files into the image, or set sourceless = true.",
        )
    if any("down_revision" in _text_of(file) for folder in present for file in folder.glob("*/**/*.py")):
        return _unusable(
            f"{names} holds no revision, and its subfolders do, which are not looked into.",
            "Set recursive_version_locations = true, or name each folder in version_locations.",
        )
    return _unusable(
        f"{names} holds no revision.", "Put the revision files into the image; alembic revision makes the first one."
    )


def _text_of(file: Path) -> str:
    try:
        return read_source(file)
    except OSError:
        return ""


def dependency_cycle(file: Path | None, revisions: Sequence[str]) -> MigrationRefused:
    """For a file whose revision builds on itself."""
    return broken_file(
        f"{file.name if file else 'A file'} builds on itself: {', '.join(revisions)}.",
        "Correct down_revision or depends_on in that file.",
    )


def not_loaded(file: Path | None, error: BaseException) -> MigrationRefused:
    """For what loading that file raised."""
    if file is None or isinstance(error, PermissionError):
        return _unusable(f"{_named(file, error)} cannot be read.", "Make it readable for the user of this service.")
    if isinstance(error, CommandError):
        return _unusable(
            f"{file.name} is in the folder of revisions, but it is no revision.",
            "Give it a revision id, or move it out.",
        )
    if isinstance(error, RevisionError):
        return broken_file(f"{file.name}: {error}.".replace("..", "."), "Use letters, digits, _ and . only.")
    if isinstance(error, SyntaxError):
        where = f"{Path(error.filename or file).name}:{error.lineno or 1}"
        return _broken_file(where, f"it is not valid Python ({error.msg})")
    line = _line_in(file, error)
    if line is None:
        return _broken_file(file.name, "it has no down_revision, or one that is no text")
    where = f"{file.name}:{line}"
    if isinstance(error, ModuleNotFoundError):
        return _broken_file(
            where, f"it imports {error.name}, which is not installed here", "Install it, or correct the import."
        )
    return _broken_file(where, f"it raised {type(error).__name__} when it was loaded", memory_used_up(error))


def load_timeout(where: str, seconds: float) -> MigrationRefused:
    """For revision files that were not loaded within the limit; `where` is the place of that moment, or empty."""
    return MigrationRefused("CM-304", _too_slow("The revision files were not loaded", where, seconds), MORE_TIME)


def env_py_timeout(where: str, seconds: float) -> MigrationRefused:
    """The same for env.py and the modules it imports."""
    return MigrationRefused("CM-407", _too_slow("env.py had not ended", where, seconds), MORE_TIME)


def _too_slow(what: str, where: str, seconds: float) -> str:
    return f"{what} after {seconds:.0f} s{f', at {where}' if where else ''}; no database was touched."


def _named(file: Path | None, error: BaseException) -> str:
    return Path(getattr(error, "filename", None) or file or "The folder of revisions").name


def _line_in(file: Path, error: BaseException) -> int | None:
    lines = [frame.lineno for frame in extract_tb(error.__traceback__) if Path(frame.filename).name == file.name]
    return lines[-1] if lines else None


def _unusable(detail: str, next_step: str) -> MigrationRefused:
    return MigrationRefused("CM-303", detail, next_step)


def _broken_file(where: str, reason: str, next_step: str | None = None) -> MigrationRefused:
    return MigrationRefused("CM-304", f"{where}: {reason}; no database was touched.", next_step)
