"""Runs env.py as `alembic` runs it for the same command, but no revision runs and nothing is committed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from alembic.runtime.environment import EnvironmentContext

from migration_sidecar.worker.no_commit import discard_commits
from migration_sidecar.worker.scripts.held_locks import passing_held_locks

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

USUAL_COMMAND = ("upgrade", "head")


def asked_command(config: Config) -> tuple[str, str]:
    """The action and the target of the command line that the configuration was made for."""
    words = vars(config.cmd_opts) if config.cmd_opts is not None else {}
    action = words["cmd"][0].__name__ if "cmd" in words else ""
    return (action, words["revision"]) if action in ("upgrade", "downgrade") else USUAL_COMMAND


def preview_context(
    config: Config, script: ScriptDirectory, plan: Callable[[Any, Any], list[Any]] = lambda *_: []
) -> EnvironmentContext:
    """The context that Alembic makes for this command, with `plan` instead of Alembic's; it must give no steps."""
    action, target = asked_command(config)

    def planned(heads: Any, context: Any) -> list[Any]:
        return plan(heads, context)

    planned.__name__ = planned.__qualname__ = action  # env.py may read it, to tell an upgrade from other commands
    return EnvironmentContext(
        config,
        script,
        fn=planned,
        as_sql=False,
        starting_rev=None,
        destination_rev=target,
        tag=None,
        dont_mutate=True,
    )


@contextmanager
def previewed(config: Config, script: ScriptDirectory) -> Iterator[None]:
    """Runs env.py first; what it set up holds in the block, as it does when Alembic loads the revision files."""
    with discard_commits(), passing_held_locks(), preview_context(config, script):
        script.run_env()
        yield
