"""Adopts a database that was made without this history, if every object in it is as a revision makes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic
from typing import TYPE_CHECKING

from migration_sidecar.adoption.catalog_diff import Difference, differences, exclusions, snapshot
from migration_sidecar.adoption.schema_build import build_in_schema
from migration_sidecar.adoption.scratch_build import BuiltCatalog, build
from migration_sidecar.adoption.scratch_database import may_create_databases
from migration_sidecar.adoption.stamp import AdoptionProof, StampExecutor
from migration_sidecar.alembic_environment.agreed_revisions import AgreedPlan
from migration_sidecar.contract.errors import LockBusy, NotAdopted, ProblemError
from migration_sidecar.contract.messages import Action, Message
from migration_sidecar.database.facts import DatabaseFacts, read_facts
from migration_sidecar.engine.engine import Engine
from migration_sidecar.protocol.catalog.snapshot import OWNERSHIP_KINDS, digest

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection, MigrationRecords

LOCK_SECONDS = 600.0


class AdoptionState(StrEnum):
    """The result of an adoption."""

    ADOPTED = "adopted"  # stamped and read back
    ALREADY = "already"  # the database was at this revision before
    SAME = "same"  # nothing differs; with `dry_run` nothing was stamped
    DIFFERENT = "different"  # nothing was stamped


class Adoption(Message):
    """The answer to an adoption: its state, and the differences if there are any."""

    service: str
    database: str
    state: AdoptionState
    revisions: list[str]
    differences: list[Difference] = []
    objects: int = 0
    catalog_sha256: str | None = None
    built_in: str | None = None
    given: list[str] = []  # schemas and extensions that were copied into the scratch database
    not_looked_at: list[str] = []  # kinds of objects that were not compared
    not_compared: str = "Rows are not compared: what revisions insert or change in tables is not looked for."


@dataclass(frozen=True)
class AdoptionRequest:
    """What a person asked for. `excluding` are the kinds of objects that are not compared."""

    target: str
    actor: str
    dry_run: bool = False
    excluding: frozenset[str] = frozenset(OWNERSHIP_KINDS)


async def adopt(engine: Engine, request: AdoptionRequest, tell: Callable[[str], None]) -> Adoption:
    """Called by the command `adopt`. Raises NotAdopted if a rule forbids it; differences are an answer and no error.

    `tell` shows a sentence about the progress.
    """
    history = await engine.revision_files.history()
    wanted = history.heads_after(Action.UPGRADE, [], history.between(Action.UPGRADE, [], request.target))
    await engine.target_database.require_named()
    records = _require_single_table(await engine.target_database.all_records())
    async with engine.database.connection() as connection:
        facts = await _require_idle(connection, records, tell)
        if facts.revisions:
            return _already_managed(engine, facts, wanted)
        await _require_usable(engine, facts, request)
        if (problem := await engine.reader.journal_problem(facts)) is not None:
            raise NotAdopted.of(problem)
        tell(f"Building {', '.join(wanted)} beside the database.")
        if await may_create_databases(connection):
            (built,) = await build(engine, connection, [request.target])
        else:
            built = await build_in_schema(engine, connection, records, request.target)
        objects = await snapshot(connection, exclusions(records))
    adoption = _adoption_result(
        engine, request, wanted, built, differences(objects, built.facts, leaving=request.excluding)
    )
    if adoption.state is not AdoptionState.SAME or request.dry_run:
        return adoption.model_copy(update={"objects": len(objects), "catalog_sha256": digest(objects)})
    proof = AdoptionProof(wanted, digest(objects), len(objects), exclusions(records), built.where)
    await StampExecutor(engine, request.actor, tell).execute(proof)
    return adoption.model_copy(
        update={"state": AdoptionState.ADOPTED, "objects": len(objects), "catalog_sha256": proof.digest}
    )


def _require_single_table(tables: list[MigrationRecords]) -> MigrationRecords:
    """Raises NotAdopted if env.py configures several version tables: a stamp writes one of them only."""
    if len(tables) > 1:
        raise NotAdopted(
            "CM-556",
            f"env.py keeps {len(tables)} in this database: {', '.join(each.history for each in tables)}.",
        )
    return tables[0]


async def _require_idle(
    connection: AnyConnection, records: MigrationRecords, tell: Callable[[str], None]
) -> DatabaseFacts:
    """Waits until no session holds the migration lock, so that nothing changes meanwhile. Raises LockBusy."""
    deadline, shown_pid = monotonic() + LOCK_SECONDS, None
    while True:
        facts = await read_facts(connection, records)
        holder = facts.lock_holder
        if holder is None:
            return facts
        if holder.pid != shown_pid:
            shown_pid = holder.pid
            tell(f"Waiting for the migration lock, held by pid {holder.pid} ({holder.application}).")
        if monotonic() > deadline:
            raise LockBusy(holder)
        await asyncio.sleep(0.2)


def _already_managed(engine: Engine, facts: DatabaseFacts, wanted: list[str]) -> Adoption:
    if sorted(facts.revisions) != sorted(wanted):
        raise NotAdopted(
            "CM-553",
            f"It is at {', '.join(facts.revisions)}, so there is nothing to adopt.",
            next_step="Upgrade it; or find out who wrote that revision, if it should not be there.",
        )
    return Adoption(
        service=engine.settings.service,
        database=engine.target_database.database,
        state=AdoptionState.ALREADY,
        revisions=wanted,
    )


async def _require_usable(engine: Engine, facts: DatabaseFacts, request: AdoptionRequest) -> None:
    history = await engine.revision_files.history()
    agreed = AgreedPlan.by(history, Action.UPGRADE, facts.revisions, request.target)
    _, obstacles = await engine.reader.read_back(facts, agreed)
    # CM-552, tables without a revision, is the reason for an adoption and no obstacle.
    blocking = [problem for problem in obstacles if problem.code != "CM-552"]
    if blocking:
        raise ProblemError.of(blocking[0])


def _adoption_result(
    engine: Engine, request: AdoptionRequest, wanted: list[str], built: BuiltCatalog, different: list[Difference]
) -> Adoption:
    if sorted(built.revisions) != sorted(wanted):
        raise NotAdopted(
            "CM-555",
            f"Beside the database it came to {', '.join(built.revisions) or 'no revision'},"
            f" not to {', '.join(wanted)}.",
            next_step="Try `migration-sidecar upgrade` on an empty database.",
        )
    return Adoption(
        service=engine.settings.service,
        database=engine.target_database.database,
        state=AdoptionState.DIFFERENT if different else AdoptionState.SAME,
        revisions=wanted,
        differences=different,
        built_in=built.where,
        given=built.prepared_objects,
        not_looked_at=sorted(request.excluding),
    )
