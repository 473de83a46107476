"""Makes a target absolute, so that a repeated command with `+1` does not go further."""

from __future__ import annotations

from migration_sidecar.contract.errors import ProblemError
from migration_sidecar.contract.messages import Action, DatabaseState
from migration_sidecar.engine.engine import Engine


async def full_target(engine: Engine, action: Action, target: str) -> str:
    """The absolute target for everything that Alembic accepts. Raises ProblemError if it is unknown or ambiguous."""
    known = await engine.revision_files.history()
    if target in known.revisions or target == "heads" or target == ("head" if action is Action.UPGRADE else "base"):
        return target
    at = await engine.reader.status()
    if at.error is not None and at.state is not DatabaseState.UNMANAGED:
        raise ProblemError.of(at.error)  # a relative target needs a known revision
    return await engine.revision_files.resolve(action, target, at.current_revisions)
