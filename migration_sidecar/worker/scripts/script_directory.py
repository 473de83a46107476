"""Opens the folder of revisions. Some load only after env.py ran, because it changes sys.path or the folders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory

from migration_sidecar.worker.no_commit import run_without_commits
from migration_sidecar.worker.refusal import MigrationRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alembic.config import Config

NO_MIGRATION_FOLDER = "CM-303"


def script_directory(config: Config, folders: Sequence[str] = ()) -> ScriptDirectory:
    """The ScriptDirectory of the configuration, with other version_locations if `folders` are given."""
    directory = ScriptDirectory.from_config(config)
    if folders:
        directory.version_locations = list(folders)
    return directory


def must_run_env_py(refusal: MigrationRefused) -> bool:
    """Whether env.py might know better: an import failed, or there is no revision where Alembic looks by itself."""
    return isinstance(refusal.__context__, ImportError) or refusal.facts["code"] == NO_MIGRATION_FOLDER


def script_directory_from_env(config: Config) -> ScriptDirectory | None:
    """The ScriptDirectory after env.py was run as by `alembic current`; None if env.py fails."""
    script = ScriptDirectory.from_config(config)

    def run() -> None:
        with EnvironmentContext(config, script, fn=_nothing_to_do, dont_mutate=True):
            script.run_env()

    try:
        run_without_commits(run)
    except BaseException:  # the first error, without env.py, says more
        return None
    return script


def ready_folder(config: Config, folders: Sequence[str] = ()) -> ScriptDirectory:
    """The ScriptDirectory of a history that could be loaded before. env.py is run only if it is needed."""
    script = script_directory(config, folders)
    try:
        if script.get_bases():
            return script
    except ImportError:
        pass
    return script_directory_from_env(config) or script


def _nothing_to_do(_: Any, __: Any) -> list[Any]:
    return []
