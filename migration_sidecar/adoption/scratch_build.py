"""Builds revisions in a scratch database and reads their objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import uuid4

from migration_sidecar.adoption.catalog_diff import exclusions, snapshot
from migration_sidecar.adoption.scratch_database import scratch_database
from migration_sidecar.contract.errors import NotAdopted
from migration_sidecar.contract.messages import Operation, OperationRequest, OperationState, Problem
from migration_sidecar.database.facts import read_facts
from migration_sidecar.engine.engine import Engine
from migration_sidecar.protocol.catalog.snapshot import CatalogObject
from migration_sidecar.protocol.journal_schema import JOURNAL_SCHEMA
from migration_sidecar.protocol.origin import Origin

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection

# Schemas and extensions that an administrator may have created before the first revision.
# Named, so that nobody is asked about a place that goes away with the scratch database.
SCRATCH_JOURNAL = f"{JOURNAL_SCHEMA}.journal"
_PREPARED = """
SELECT 'schema ' || n.nspname AS name, format('CREATE SCHEMA IF NOT EXISTS %I', n.nspname) AS statement, 1 AS turn
FROM pg_namespace n
WHERE left(n.nspname, 3) <> 'pg_' AND n.nspname NOT IN ('information_schema', 'public', 'migration_sidecar')
  AND NOT EXISTS (SELECT FROM pg_depend d
                  WHERE d.classid = 'pg_namespace'::regclass AND d.objid = n.oid AND d.deptype = 'e')
UNION ALL
SELECT 'extension ' || e.extname,
       format('CREATE EXTENSION IF NOT EXISTS %I SCHEMA %I CASCADE', e.extname, n.nspname), 2
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname <> 'plpgsql'
ORDER BY turn, name
"""


@dataclass(frozen=True)
class BuiltCatalog:
    """The objects of a built revision. `prepared_objects` existed before the first revision."""

    facts: list[CatalogObject]
    revisions: list[str]
    where: str
    prepared_objects: list[str]


async def build(engine: Engine, connection: AnyConnection, targets: Sequence[str]) -> list[BuiltCatalog]:
    """Builds the targets one after the other in one scratch database. Raises NotAdopted.

    If that fails, it tries again with the schemas and extensions of the real database.
    """
    try:
        return await _build_in_database(engine, connection, targets, {})
    except NotAdopted:
        prepared = {row["name"]: row["statement"] for row in await connection.fetch(_PREPARED)}
        if not prepared:
            raise
    return await _build_in_database(engine, connection, targets, prepared)


async def _build_in_database(
    engine: Engine, connection: AnyConnection, targets: Sequence[str], prepared: dict[str, str]
) -> list[BuiltCatalog]:
    async with scratch_database(connection) as name:
        url = (await engine.target_database.url()).set(database=name)
        settings = replace(engine.settings, configured_url=url, journal_table=SCRATCH_JOURNAL)
        scratch = Engine(settings, forkserver=engine.forkserver)
        try:
            async with scratch.database.connection() as session:
                for statement in prepared.values():
                    await session.execute(statement)
            return [await _build_target(scratch, target, list(prepared)) for target in targets]
        finally:
            await scratch.close()


async def _build_target(scratch: Engine, target: str, prepared_objects: list[str]) -> BuiltCatalog:
    await _upgrade(scratch, target)
    records = await scratch.target_database.records()
    async with scratch.database.connection() as session:
        revisions = (await read_facts(session, records)).revisions
        facts = await snapshot(session, exclusions(records))
    return BuiltCatalog(facts, list(revisions), "a scratch database", prepared_objects)


async def _upgrade(scratch: Engine, target: str) -> None:
    request = OperationRequest(operation_id=f"scratch-{uuid4()}", target=target, requested_by="adopt")
    operation: Operation = await scratch.operations.accept(request, origin=Origin.BY_HAND)
    while not operation.state.ended:
        operation = await scratch.operations.find(request.operation_id, wait_seconds=60)
    if operation.state is not OperationState.SUCCEEDED:
        next_step = "Try the upgrade on an empty database; this one is as it was."
        raise build_failed(operation.error, "a scratch database", next_step)


def build_failed(problem: Problem | None, where: str, next_step: str | None = None) -> NotAdopted:
    """For what a build failed with; None where its process was lost."""
    detail = problem.detail if problem is not None else "Its process was lost."
    more = problem.model_dump(include={"revision", "sqlstate", "server_message"}) if problem is not None else {}
    return NotAdopted("CM-555", f"In {where} it failed: {detail}", next_step=next_step, **more)
