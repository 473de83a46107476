"""Opens the folder of revisions. Some load only after env.py ran, because it changes sys.path or the folders."""

from __future__ import annotations

from configparser import Error as IniError
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from alembic.script import ScriptDirectory

from migration_sidecar.worker.scripts.env_preview import previewed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alembic.config import Config


def script_location(config: Config) -> str:
    """The folder that the configuration names, or an empty text."""
    option = getattr(config, "get_alembic_option", config.get_main_option)  # since Alembic 1.16 also pyproject.toml's
    try:
        return option("script_location") or ""
    except IniError:
        return ""


def script_directory(config: Config, folders: Sequence[str] = ()) -> ScriptDirectory:
    """The ScriptDirectory of the configuration, with other version_locations if `folders` are given."""
    directory = ScriptDirectory.from_config(config)
    if folders:
        directory.version_locations = list(folders)
    return directory


def open_prepared_directory(config: Config, stack: ExitStack) -> ScriptDirectory | None:
    """The ScriptDirectory after env.py ran, whose context stands until the stack is closed. None if env.py fails."""
    script = ScriptDirectory.from_config(config)
    with suppress(BaseException):
        stack.enter_context(previewed(config, script))
        return script
    return None


def open_ready_directory(config: Config, stack: ExitStack, folders: Sequence[str] = ()) -> ScriptDirectory:
    """The ScriptDirectory of a history that could be loaded before. env.py is run only if it is needed."""
    script = script_directory(config, folders)
    with suppress(Exception):
        if script.get_bases():
            return script
    return open_prepared_directory(config, stack) or script
