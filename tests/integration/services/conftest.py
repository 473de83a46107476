"""An audit database for each test, cloned from one that was migrated once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg import sql

from scripts.infrastructure.postgres import PostgresServer
from tests.integration.databases import Database, fresh_database
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
