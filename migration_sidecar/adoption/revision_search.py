"""Finds the revision of a database: builds every revision in a scratch database and compares each."""

from __future__ import annotations

from collections.abc import Callable

from migration_sidecar.adoption.adopt import AdoptionRequest
from migration_sidecar.adoption.catalog_diff import differences, exclusions, snapshot
from migration_sidecar.adoption.scratch_build import build
from migration_sidecar.adoption.scratch_database import may_create_databases
from migration_sidecar.alembic_environment.history import History
from migration_sidecar.contract.errors import NotAdopted
from migration_sidecar.contract.messages import Message
from migration_sidecar.engine.engine import Engine


class Match(Message):
    """How many differences there are between the database and one revision."""

    revision: str
    message: str
    differences: int


class Matches(Message):
    """All revisions, oldest first. The database may be adopted at those without a difference."""

    service: str
    database: str
    matches: list[Match]


async def matches(engine: Engine, request: AdoptionRequest, tell: Callable[[str], None]) -> Matches:
    """Called by `adopt` without a revision. Raises NotAdopted for a branched history and for a role without CREATEDB.

    `tell` shows a sentence about the progress.
    """
    history = await engine.revision_files.history()
    await engine.target_database.require_named()
    records = await engine.target_database.records()
    line = list(history.order)
    async with engine.database.connection() as connection:
        if not _is_one_line(history) or not await may_create_databases(connection):
            raise _not_searchable(history)
        tell(f"Building {len(line)} revisions beside the database, one after the other.")
        objects = await snapshot(connection, exclusions(records))
        built = await build(engine, connection, line)
    return Matches(
        service=engine.settings.service,
        database=engine.target_database.database,
        matches=[
            Match(
                revision=revision,
                message=history.revisions[revision].message,
                differences=len(differences(objects, each.facts, leaving=request.excluding)),
            )
            for revision, each in zip(line, built, strict=True)
        ],
    )


def _is_one_line(history: History) -> bool:
    files = history.revisions.values()
    return len(history.heads) == 1 and all(len(file.before) <= 1 for file in files)


def _not_searchable(history: History) -> NotAdopted:
    return NotAdopted(
        "CM-203",
        "Which one it is can be tried out only where the revisions are one line and the role may create databases.",
        next_step=f"Give --revision; the heads are {', '.join(history.heads) or 'none'}.",
    )
