"""A session of the service keeps the statements it was asked; tables come, go and change under it all the same."""

from __future__ import annotations

import pytest

from migration_sidecar.contract.messages import Action, DatabaseState
from migration_sidecar.database.facts import read_facts
from migration_sidecar.engine.engine import Engine
from tests.integration.databases import Database
from tests.integration.migration_sidecar.environments import Environment, carry_out

KEPT = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE $1"


@pytest.fixture
def migrated(environment: Environment) -> Environment:
    environment.revision("a1")
    return environment


def execute(database: Database, *statements: str) -> None:
    with database.connect() as connection:
        for statement in statements:
            connection.execute(statement)


async def at(engine: Engine) -> list[str]:
    return (await engine.reader.plan(Action.UPGRADE, "head")).from_revisions


async def test_a_session_parses_what_it_is_asked_again_and_again_once(migrated: Environment, engine: Engine) -> None:
    await carry_out(engine)
    assert await at(engine) == ["a1"]

    async with engine.database.connection() as connection:
        assert await connection.fetchval(KEPT, "%AS missing_grant,%") == 1


async def test_a_version_table_that_search_path_finds_by_now_is_the_one_that_is_read(
    migrated: Environment, engine: Engine, database: Database
) -> None:
    """The server keeps to the table that a name meant when the statement was parsed."""
    await carry_out(engine)
    execute(database, "CREATE SCHEMA AUTHORIZATION CURRENT_USER")
    records = await engine.target_database.records()
    async with engine.database.connection() as connection:
        assert await records.versions(connection) == ["a1"]
        assert (await read_facts(connection, records)).revisions == ("a1",)
        execute(database, "CREATE TABLE alembic_version AS SELECT 'zz'::varchar(32) AS version_num")

        assert await records.versions(connection) == ["zz"]
        assert (await read_facts(connection, records)).revisions == ("zz",)


async def test_tables_that_go_and_come_back_otherwise_are_read_as_they_are(
    migrated: Environment, engine: Engine, database: Database
) -> None:
    await carry_out(engine)
    execute(database, "ALTER TABLE alembic_version ALTER COLUMN version_num TYPE text")
    assert await at(engine) == ["a1"]
    execute(database, "DROP SCHEMA migration_sidecar CASCADE", "DROP TABLE alembic_version, t_a1")
    assert (await engine.reader.status()).state is DatabaseState.EMPTY
    await carry_out(engine)

    assert await at(engine) == ["a1"]
