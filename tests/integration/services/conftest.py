"""An audit database for each test, cloned from one that was migrated once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from psycopg import sql

from scripts.infrastructure.postgres import PostgresServer
from tests.integration.databases import Database, fresh_database
from tests.integration.services.evidence import Evidence, evidence_of
from tests.integration.services.fleet import BY_FOLDER, alembic


@pytest.fixture(scope="session")
def audit_template(postgres: PostgresServer) -> Iterator[Database]:
    with fresh_database(postgres) as template:
        alembic(BY_FOLDER["cas_service"], template, "upgrade", "head")
        yield template


@pytest.fixture
def audit(audit_template: Database) -> Iterator[Database]:
    """An empty audit at head."""
    clone = Database(f"{audit_template.name}_clone", audit_template.address)
    names = {"clone": sql.Identifier(clone.name), "template": sql.Identifier(audit_template.name)}
    with audit_template.address.connect() as connection:
        connection.execute(sql.SQL("CREATE DATABASE {clone} TEMPLATE {template}").format(**names))
        try:
            yield clone
        finally:
            connection.execute(sql.SQL("DROP DATABASE {clone} WITH (FORCE)").format(**names))


@pytest.fixture
async def evidence(audit: Database, tmp_path: Path) -> AsyncIterator[Evidence]:
    """Twelve events, the first ten of them signed."""
    async with evidence_of(audit, tmp_path) as evidence:
        for _ in range(2):
            evidence.record(5)
            await evidence.sign()
        evidence.record(2)
        yield evidence
