"""A real PostgreSQL of this test session's own, and a fresh database for each test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from scripts.infrastructure import ports
from scripts.infrastructure.postgres import Address, PostgresServer
from tests.integration.databases import CreateDatabase, Database, fresh_database


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A server that is provably its own: the data directory is checked, the port is the kernel's choice."""
    directory = tmp_path_factory.mktemp("postgres")
    address = Address(host=ports.LOOPBACK, port=ports.choose(1)[0])
    server = PostgresServer(directory, address, durable=False, dies_with_us=True)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def create_database(postgres: PostgresServer) -> Iterator[CreateDatabase]:
    """As many fresh databases as a test asks for."""
    with ExitStack() as databases:
        yield lambda: databases.enter_context(fresh_database(postgres))


@pytest.fixture
def database(create_database: CreateDatabase) -> Database:
    return create_database()
