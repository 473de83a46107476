"""One env.py that keeps a version table for each of its tenants: success means that all of them are at the target."""

from __future__ import annotations

import asyncio
from textwrap import indent

import pytest

from migration_sidecar.adoption.adopt import AdoptionRequest, adopt
from migration_sidecar.contract.errors import NotAdopted
from migration_sidecar.contract.messages import Action, DatabaseState, OperationState
from migration_sidecar.engine.engine import Engine
from migration_sidecar.engine.operations.execution import OperationExecution
from migration_sidecar.engine.operations.read_back import ReadBackReader
from migration_sidecar.engine.operations.session_end import UnclearEnd
from migration_sidecar.protocol.lock_key import lock_key
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import MakeEnvironment, StartEngine
from tests.integration.migration_sidecar.environments import Environment, carry_out, request, rows

ENV = """
from alembic import context
from sqlalchemy import create_engine, text

engine = create_engine({url!r})
for tenant in ("north", "south", "west"):
    with engine.connect() as connection:
{body}
"""
BY_OPTION = """
context.configure(connection=connection, version_table_schema=tenant)
with context.begin_transaction():
    context.execute("SET search_path TO " + tenant)
    context.run_migrations()
"""
BY_SEARCH_PATH = """
with connection.begin():
    connection.execute(text("SET search_path TO " + tenant))
connection.dialect.default_schema_name = tenant
context.configure(connection=connection)
with context.begin_transaction():
    context.run_migrations()
"""
STYLES = {"version_table_schema": BY_OPTION, "search_path": BY_SEARCH_PATH}


@pytest.fixture(params=STYLES)
def environment(request: pytest.FixtureRequest, make_environment: MakeEnvironment, database: Database) -> Environment:
    environment = make_environment()
    environment.revision("a")
    environment.revision("b")
    text = ENV.format(url=environment.url, body=indent(STYLES[request.param].strip(), "        "))
    (environment.folder / "alembic" / "env.py").write_text(text)
    with database.connect() as connection:
        connection.execute("CREATE SCHEMA north; CREATE SCHEMA south; CREATE SCHEMA west")
    return environment


@pytest.fixture
async def migrated(environment: Environment, start_engine: StartEngine) -> Engine:
    engine = start_engine(environment)
    operation = await carry_out(engine)
    assert operation.state is OperationState.SUCCEEDED, operation.error
    return engine


def versions(database: Database) -> dict[str, list[str]]:
    return {
        tenant: [held for (held,) in rows(database, f"SELECT version_num FROM {tenant}.alembic_version")]
        for tenant in ("north", "south", "west")
    }


def lose(database: Database, tenant: str) -> None:
    """As for a tenant that is new."""
    with database.connect() as connection:
        connection.execute(f"DROP SCHEMA {tenant} CASCADE; CREATE SCHEMA {tenant}")


async def test_each_tenant_has_records_of_its_own(migrated: Engine, database: Database) -> None:
    assert versions(database) == {"north": ["b"], "south": ["b"], "west": ["b"]}
    journal = "SELECT version_table, revision FROM migration_sidecar.journal WHERE kind = 'applied' ORDER BY seq"
    expected = [(f"{tenant}.alembic_version", each) for tenant in ("north", "south", "west") for each in ("a", "b")]
    assert rows(database, journal) == expected


@pytest.mark.parametrize("tenant", ["south", "west"])
async def test_a_new_tenant_is_migrated_although_the_first_is_at_its_head(
    tenant: str, migrated: Engine, database: Database
) -> None:
    lose(database, tenant)
    status = await migrated.reader.status()
    assert (status.state, status.pending) == (DatabaseState.EMPTY, ["a", "b"])
    operation = await carry_out(migrated)
    assert operation.state is OperationState.SUCCEEDED, operation.error
    assert versions(database) == {"north": ["b"], "south": ["b"], "west": ["b"]}
    assert (await migrated.reader.status()).state is DatabaseState.AT_HEAD


async def test_a_failure_at_a_later_tenant_is_told_and_the_next_request_goes_on_there(
    environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    with database.connect() as connection:
        connection.execute("CREATE TABLE west.t_b (id int); CREATE TABLE west.alembic_version (version_num text)")
        connection.execute("INSERT INTO west.alembic_version VALUES ('a')")
    engine = start_engine(environment)
    failed = await carry_out(engine)
    assert (failed.state, failed.error and failed.error.sqlstate) == (OperationState.FAILED, "42P07")
    assert versions(database) == {"north": ["b"], "south": ["b"], "west": ["a"]}
    with database.connect() as connection:
        connection.execute("DROP TABLE west.t_b")
    operation = await carry_out(engine)
    assert operation.state is OperationState.SUCCEEDED, operation.error
    assert versions(database)["west"] == ["b"]


async def test_a_downgrade_takes_every_tenant_back(migrated: Engine, database: Database) -> None:
    lose_b = "DROP TABLE north.t_b; UPDATE north.alembic_version SET version_num = 'a'"
    with database.connect() as connection:
        connection.execute(lose_b)  # the first one is there already
    operation = await carry_out(migrated, action=Action.DOWNGRADE, target="a")
    assert operation.state is OperationState.SUCCEEDED, operation.error
    assert versions(database) == {"north": ["a"], "south": ["a"], "west": ["a"]}


async def test_what_is_only_configured_to_be_looked_at_needs_no_revision(
    environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    env = environment.folder / "alembic" / "env.py"
    look = """
with engine.connect() as connection:
    context.configure(connection=connection, version_table="only_looked_at")
"""
    env.write_text(env.read_text() + look)
    operation = await carry_out(start_engine(environment))
    assert operation.state is OperationState.SUCCEEDED, operation.error
    assert rows(database, "SELECT to_regclass('only_looked_at')") == [(None,)]


async def test_what_an_attempt_did_is_not_judged_while_its_session_holds_the_lock_of_any_tenant(
    migrated: Engine, database: Database
) -> None:
    """The first tenant's lock is free again while a later one is still being migrated."""
    record = (await migrated.reader.status()).last_outcome
    assert record is not None
    key = lock_key("alembic_version", "west")
    with database.connect() as connection:
        connection.execute("SELECT pg_advisory_lock(%s, %s)", (key["class_id"], key["object_id"]))
        connection.execute(
            """UPDATE migration_sidecar.journal SET at = clock_timestamp(),
                 detail = detail || jsonb_build_object('pid', pg_backend_pid()) WHERE kind = 'attempt'"""
        )
        execution = OperationExecution(request(operation_id=record.operation_id), record, "endpoint")
        truth = ReadBackReader(migrated.database, migrated.reader, migrated.target_database)
        reading = asyncio.create_task(truth.read(execution, unclear=UnclearEnd(1)))
        await asyncio.sleep(0.5)
        assert not reading.done()
    assert (await reading).left == 0


async def test_several_version_tables_are_not_adopted_by_the_proof_of_one(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    with pytest.raises(NotAdopted, match=r"CM-556.*: north.\S+ south.\S+ west.alembic_version\."):
        await adopt(start_engine(environment), AdoptionRequest("b", "ada"), print)
    assert rows(database, "SELECT to_regclass('north.alembic_version')") == [(None,)]
