"""Where the role may create no schema, the records stand in tables that the operator names, or the GRANT is named."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from migration_sidecar.contract.errors import DatabaseUnreachable
from migration_sidecar.contract.messages import OperationState
from migration_sidecar.protocol.journal_schema import journal_tables
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import MakeEnvironment, StartEngine
from tests.integration.migration_sidecar.environments import Environment, carry_out, request, rows

MADE = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('ops', 'migration_sidecar') ORDER BY 1, 2"


@pytest.fixture
def url(database: Database) -> Iterator[str]:
    """Of a role that may make tables in `public` and `ops`, and no schema."""
    with database.connect() as connection:
        connection.execute("CREATE ROLE lowly LOGIN PASSWORD 'lowly'")
        connection.execute("CREATE SCHEMA ops; GRANT USAGE, CREATE ON SCHEMA ops, public TO lowly")
    yield database.url.replace("postgres:postgres@", "lowly:lowly@")
    with database.connect() as connection:
        connection.execute("DROP OWNED BY lowly CASCADE")
        connection.execute("DROP ROLE lowly")


@pytest.fixture
def environment(make_environment: MakeEnvironment, url: str) -> Environment:
    environment = make_environment(url=url)
    environment.revision("a")
    return environment


def names(environment: Environment, table: str) -> None:
    environment.ini.write_text(environment.ini.read_text() + f"journal_table = {table}\n")


async def test_the_records_stand_in_the_tables_that_the_operator_names(
    environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    names(environment, "ops.migrations")
    engine = start_engine(environment)
    operation = await carry_out(engine)
    assert operation.state is OperationState.SUCCEEDED, operation.error
    assert rows(database, MADE) == [("ops", "migrations"), ("ops", "migrations_operations")]
    kinds = "SELECT kind FROM ops.migrations ORDER BY seq"
    assert rows(database, kinds) == [("attempt",), ("started",), ("applied",)]
    assert (await engine.reader.status()).last_outcome == operation


async def test_our_own_tables_do_not_make_a_database_look_used(
    environment: Environment, start_engine: StartEngine
) -> None:
    """A failed first migration leaves them behind in an empty database."""
    names(environment, "migrations")
    environment.revision("a", 'op.execute("SELECT 1/0")', below=None)
    engine = start_engine(environment)
    assert (await carry_out(engine)).state is OperationState.FAILED
    environment.revision("a", below=None)
    operation = await carry_out(engine)
    assert operation.state is OperationState.SUCCEEDED, operation.error


async def test_without_a_name_it_is_refused_with_the_grant_that_is_missing(
    environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    plan = await start_engine(environment).reader.plan(request().action, "head")
    (obstacle,) = [each for each in plan.obstacles if each.code == "CM-504"]
    assert f"GRANT CREATE ON DATABASE {database.name} TO lowly" in obstacle.next_step
    assert rows(database, MADE) == []
    with pytest.raises(DatabaseUnreachable) as refused:
        await carry_out(start_engine(environment))
    assert "--journal-table" in refused.value.problem.next_step


async def test_a_schema_that_a_dba_made_is_enough(
    environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    """PostgreSQL asks for the right to create a schema even where it exists already."""
    with database.connect() as connection:
        connection.execute("CREATE SCHEMA migration_sidecar; GRANT USAGE, CREATE ON SCHEMA migration_sidecar TO lowly")
    operation = await carry_out(start_engine(environment))
    assert operation.state is OperationState.SUCCEEDED, operation.error


async def test_a_schema_without_its_rights_is_refused_with_the_grant(
    environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    with database.connect() as connection:
        connection.execute("CREATE SCHEMA migration_sidecar")
    plan = await start_engine(environment).reader.plan(request().action, "head")
    grant = "GRANT USAGE, CREATE ON SCHEMA migration_sidecar TO lowly"
    assert [each for each in plan.obstacles if each.code == "CM-504" and grant in each.next_step]


async def test_tables_of_another_role_are_refused_with_the_grant(
    environment: Environment, database: Database, start_engine: StartEngine, make_environment: MakeEnvironment
) -> None:
    mighty = make_environment(name="mighty")
    mighty.revision("a")
    await carry_out(start_engine(mighty))
    with database.connect() as connection:
        connection.execute("GRANT USAGE ON SCHEMA migration_sidecar TO lowly; GRANT SELECT ON alembic_version TO lowly")
    plan = await start_engine(environment).reader.plan(request().action, "head")
    grant = "GRANT SELECT, INSERT, UPDATE ON migration_sidecar.journal, migration_sidecar.operations TO lowly"
    assert [each for each in plan.obstacles if each.code == "CM-504" and grant in each.next_step]


OWN_ENV = "from migration_sidecar.environment import run\n\nrun(None)\n"


@pytest.mark.parametrize("named", [True, False])
def test_native_alembic_keeps_to_the_same_tables(
    environment: Environment, database: Database, url: str, *, named: bool
) -> None:
    (environment.folder / "alembic" / "env.py").write_text(OWN_ENV)
    if named:
        names(environment, "ops.migrations")
    words = [sys.executable, "-m", "alembic", "-c", str(environment.ini), "upgrade", "head"]
    ended = subprocess.run(words, capture_output=True, text=True, env=os.environ, cwd=environment.folder, timeout=60)
    if named:
        assert rows(database, "SELECT count(*) FROM ops.migrations") == [(3,)], ended.stderr
    else:
        assert "CM-504" in ended.stdout
        assert "GRANT USAGE, CREATE ON SCHEMA migration_sidecar TO lowly" in ended.stdout
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("name", ["", "a.b.c", "ops.", "ops.mig rations", 'ops."x"', "x" * 46, "ops.1st", "a;b"])
def test_a_name_that_would_need_quoting_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        journal_tables(name)


def test_the_longest_name_has_room_for_the_names_that_grow_from_it() -> None:
    tables = journal_tables("x" * 45)
    assert len(f"{tables.operations_name}_by_age") <= 63
