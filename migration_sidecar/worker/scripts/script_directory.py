"""Environments whose revisions can be loaded only after their env.py ran: it adds to sys.path, or names the folders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory

from migration_sidecar.worker.no_commit import run_without_a_trace
from migration_sidecar.worker.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alembic.config import Config


def script_directory(config: Config, folders: Sequence[str] = ()) -> ScriptDirectory:
    """With the folders that env.py names where it was heard before; without them as the configuration has it."""
    directory = ScriptDirectory.from_config(config)
    if folders:
        directory.version_locations = list(folders)
    return directory


def needs_env_file(refusal: Refusal) -> bool:
    """Whether env.py might know better: an import failed, or there is no revision where Alembic looks by itself."""
    return (
        isinstance(refusal.__context__, ImportError) or refusal.facts["title"] == "The migration folder cannot be used"
    )


def after_env_file(config: Config) -> ScriptDirectory | None:
    """The folder as env.py leaves it, run as `alembic current` runs it; None where it fails."""
    script = ScriptDirectory.from_config(config)

    def run() -> None:
        with EnvironmentContext(config, script, fn=_nothing_to_do, dont_mutate=True):
            script.run_env()

    try:
        run_without_a_trace(run)
    except BaseException:  # what kept the revisions from being loaded without it says more
        return None
    return script


def ready_folder(config: Config, folders: Sequence[str] = ()) -> ScriptDirectory:
    """For a history that was loaded before; prepared only where that is needed."""
    script = script_directory(config, folders)
    try:
        if script.get_bases():
            return script
    except ImportError:
        pass
    return after_env_file(config) or script


def _nothing_to_do(_: Any, __: Any) -> list[Any]:
    return []
