"""Builds a revision in a schema of the real database, for a role without CREATEDB. It is never committed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from migration_sidecar.adoption.catalog_diff import exclusions, snapshot
from migration_sidecar.adoption.scratch_build import BuiltCatalog, build_failed
from migration_sidecar.adoption.scratch_database import scratch_name
from migration_sidecar.contract.errors import NotAdopted
from migration_sidecar.contract.messages import Problem
from migration_sidecar.engine.engine import Engine
from migration_sidecar.protocol.catalog.snapshot import CatalogObject
from migration_sidecar.protocol.jobs import SchemaBuildJob, SchemaBuildOrders
from migration_sidecar.protocol.results import BuiltSchema

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection, MigrationRecords

BUILD_SECONDS = 3600.0

_SCHEMAS = """
SELECT DISTINCT n.nspname, quote_ident(n.nspname) AS quoted FROM pg_namespace n
JOIN (SELECT 'pg_class'::regclass AS classid, oid, relname AS name, relnamespace AS space FROM pg_class
      UNION ALL SELECT 'pg_proc'::regclass, oid, proname, pronamespace FROM pg_proc
      UNION ALL SELECT 'pg_type'::regclass, oid, typname, typnamespace FROM pg_type) AS thing ON thing.space = n.oid
WHERE left(n.nspname, 3) <> 'pg_' AND n.nspname NOT IN ('information_schema', 'migration_sidecar')
  AND NOT EXISTS (SELECT FROM pg_class c JOIN unnest($1::text[], $2::text[]) AS o (schema, name)
                  ON c.relname = o.name AND o.schema IN (n.nspname, '') WHERE c.relnamespace = n.oid
                  AND thing.oid IN (c.oid, c.reltype))
  AND NOT EXISTS (SELECT FROM pg_depend d
                  WHERE d.classid = thing.classid AND d.objid = thing.oid AND d.deptype IN ('e', 'i', 'a'))
  AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indexrelid = thing.oid)
"""
_EXTENSIONS = """
SELECT DISTINCT quote_ident(n.nspname) AS quoted FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE n.nspname <> 'pg_catalog'
"""


async def build_in_schema(
    engine: Engine, connection: AnyConnection, records: MigrationRecords, target: str
) -> BuiltCatalog:
    """Raises NotAdopted if the revision cannot be built.

    In the result the name of the scratch schema is replaced by the one of the real schema.
    """
    real, quoted = await _only_schema(connection, records)
    name = await scratch_name(connection)
    orders: SchemaBuildOrders = {
        "schema": name,
        "instead_of": real,
        "left_out": exclusions(records).message(),
        "search_path": [row["quoted"] for row in await connection.fetch(_EXTENSIONS)],
        "guards": dict(engine.settings.guards),
    }
    job: SchemaBuildJob = {
        "kind": "migrate",
        "action": "upgrade",
        "target": target,
        "rehearsal": orders,
        **engine.settings.job_environment,
    }
    # The schema itself, with its owner, grants and comment, is taken from the database; its objects are built.
    facts = [fact for fact in await snapshot(connection, exclusions(records)) if _is_of_schema(fact, quoted)]
    revisions: list[str] | None = None
    problem: Problem | None = None
    async with asyncio.timeout(BUILD_SECONDS), engine.forkserver.run(job) as process:
        async for report in process.reports():
            if report["event"] == "facts":
                facts += [CatalogObject(*(text.replace(name, quoted) for text in fact)) for fact in report["facts"]]
            elif report["event"] == "done":
                revisions = cast(BuiltSchema, report["result"])["revisions"]
            elif report["event"] == "failed":
                problem = engine.target_database.mask_problem(Problem.of(**report["problem"]))
    if revisions is None:
        raise build_failed(problem, "a scratch schema")
    return BuiltCatalog(facts, revisions, "a scratch schema", [])


def _is_of_schema(fact: CatalogObject, quoted: str) -> bool:
    return (fact.kind, fact.object) == ("schema", quoted) or fact.object == f"schema {quoted}"


async def _only_schema(connection: AnyConnection, records: MigrationRecords) -> tuple[str, str]:
    relations = exclusions(records).relations
    schemas = await connection.fetch(_SCHEMAS, [schema for schema, _ in relations], [name for _, name in relations])
    if len(schemas) > 1:
        raise NotAdopted(
            "CM-555",
            f"The role may create no database, and the objects stand in several schemas:"
            f" {', '.join(sorted(row['nspname'] for row in schemas))}.",
        )
    return (schemas[0]["nspname"], schemas[0]["quoted"]) if schemas else ("public", "public")
