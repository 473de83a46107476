"""The PostgreSQL that every other integration test stands on."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from scripts.infrastructure.errors import NotOurs, PortTaken
from scripts.infrastructure.postgres import Address, PostgresServer
from tests.integration.databases import CreateDatabase, Database


def test_a_test_database_starts_empty_and_takes_tables(database: Database) -> None:
    with database.connect() as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)
        connection.execute("CREATE TABLE clients (id int)")


def test_two_databases_of_one_test_are_not_the_same(create_database: CreateDatabase) -> None:
    first, second = create_database(), create_database()
    with first.connect() as connection:
        connection.execute("CREATE TABLE clients (id int)")
    with second.connect() as connection:
        assert connection.execute("SELECT to_regclass('clients')").fetchone() == (None,)


def test_a_wrong_password_is_refused_over_tcp(postgres: PostgresServer) -> None:
    stranger = Address(postgres.address.host, postgres.address.port, postgres.address.user, "wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        stranger.connect()


def test_a_server_with_another_data_directory_is_not_ours(postgres: PostgresServer, tmp_path: Path) -> None:
    elsewhere = PostgresServer(tmp_path, postgres.address)
    elsewhere.data.mkdir()
    with pytest.raises(NotOurs):
        elsewhere.prove_ours()


def test_starting_where_another_server_listens_names_it_and_the_ways_out(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    with pytest.raises(PortTaken, match=r"is taken by postgres \(pid \d+, user .+\)\..*export POSTGRES_PORT="):
        PostgresServer(tmp_path, postgres.address).start()


def test_starting_a_running_server_again_changes_nothing(postgres: PostgresServer) -> None:
    before = postgres.program.process()
    postgres.start()
    assert postgres.program.process() == before
