"""The nine services as tests see them: their tables, native Alembic in their folders, a database's catalog."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.infrastructure.postgres import binaries
from tests.integration.databases import Database

SERVICES = Path(__file__).parents[3] / "services"

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["alembic.config", "migration_sidecar.environment", "psycopg", "asyncpg"])


@dataclass(frozen=True)
class Service:
    """`legacy_revision` is the one that migrations/init.sql is equal to; newer services have no such file."""

    folder: str
    tables: frozenset[str]
    legacy_revision: str | None = None
    uses_asyncpg: bool = False

    @property
    def path(self) -> Path:
        return SERVICES / self.folder

    def url(self, database: Database) -> str:
        return database.async_url if self.uses_asyncpg else database.url


def _service(folder: str, tables: str, legacy_revision: str | None = None, uses_asyncpg: bool = False) -> Service:
    return Service(folder, frozenset(tables.split()), legacy_revision, uses_asyncpg)


FLEET = [
    _service("cas_service", "audit_events", "audit_0001"),
    _service("client_service", "clients client_links processed_events", "client_0003"),
    _service("document_service", "documents processed_events", "document_0001"),
    _service("interaction_service", "interactions processed_events", "interaction_0002", uses_asyncpg=True),
    _service("product_service", "products processed_events", "product_0002"),
    _service("relationship_service", "relationships processed_events", "relationship_0002"),
    _service("riskprofile_service", "risk_profiles suitability_assessments processed_events", "riskprofile_0003"),
    _service(
        "rmbrain_mainapp",
        "plugins tenant_plugins plugin_event_registry event_mappings",
        "mainapp_0003",
        uses_asyncpg=True,
    ),
    _service("task_service", "tasks processed_events", "task_0002", uses_asyncpg=True),
]
WITH_LEGACY_SQL = [(service, service.legacy_revision) for service in FLEET if service.legacy_revision]
BY_FOLDER = {service.folder: service for service in FLEET}


def alembic(service: Service, database: Database, *arguments: str, output: Path | None = None) -> None:
    """What `alembic …` does in the service's folder, in a process of its own that starts warm; raises when it fails."""
    process = _processes.Process(target=_alembic, args=(service.path, service.url(database), arguments, output))
    process.start()
    process.join()
    assert process.exitcode == 0, f"alembic {' '.join(arguments)} in {service.folder} ended with {process.exitcode}"


def _alembic(folder: Path, url: str, arguments: tuple[str, ...], output: Path | None) -> None:
    from alembic.config import main

    os.chdir(folder)
    os.environ["DATABASE_URL"] = url
    if output is not None:
        sys.stdout = output.open("w", encoding="utf-8")
    main(argv=list(arguments))


def psql(database: Database, file: Path) -> None:
    """Raises at the first error in the file."""
    subprocess.run(
        [binaries() / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database.url, "-f", file],
        check=True,
        stdout=subprocess.DEVNULL,
    )


TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"

COLUMNS = """
SELECT c.relname, row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum), a.attname,
       format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, pg_get_expr(d.adbin, d.adrelid)
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
"""

# Since PostgreSQL 18 NOT NULL is a constraint with a made-up name; `attnotnull` says the same above.
CONSTRAINTS = """
SELECT c.relname, n.conname, n.convalidated, pg_get_constraintdef(n.oid)
FROM pg_constraint n JOIN pg_class c ON c.oid = n.conrelid
WHERE n.connamespace = 'public'::regnamespace AND n.contype <> 'n'
"""

INDEXES = """
SELECT c.relname, i.indisvalid, pg_get_indexdef(i.indexrelid)
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
WHERE c.relnamespace = 'public'::regnamespace
"""


def tables(database: Database) -> set[str]:
    with database.connect() as connection:
        return {name for (name,) in connection.execute(TABLES)}


def catalog(database: Database) -> set[tuple[Any, ...]]:
    """Every column, constraint and index of `public`, apart from Alembic's own table."""
    with database.connect() as connection:
        facts = [fact for query in (COLUMNS, CONSTRAINTS, INDEXES) for fact in connection.execute(query)]
    return {fact for fact in facts if fact[0] != "alembic_version"}
