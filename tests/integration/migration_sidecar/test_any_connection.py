"""Whatever connection an env.py hands over, and however often, it migrates as bare Alembic does: guarded."""

from __future__ import annotations

from datetime import timedelta
from textwrap import indent

import pytest

from migration_sidecar.contract.messages import OperationState
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import MakeEnvironment, StartEngine
from tests.integration.migration_sidecar.environments import (
    Environment,
    applied,
    carry_out,
    kinds,
    lock_is_free,
    rows,
    tables,
    version,
)

ENV = """
from alembic import context
from sqlalchemy import create_engine, text

engine = create_engine({url!r}{engine})
with engine.{opened} as connection:
{body}
"""
PLAIN = """
context.configure(connection=connection)
with context.begin_transaction():
    context.run_migrations()
"""

ASYNC = """
import asyncio
from alembic import context
from sqlalchemy.ext.asyncio import create_async_engine


def migrate(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()


async def migrate_twice():
    engines = [create_async_engine({url!r}) for _ in range(2)]
    for engine in engines:
        async with engine.connect() as connection:
            await connection.run_sync(migrate)


asyncio.run(migrate_twice())
"""


@pytest.fixture
def environment(make_environment: MakeEnvironment) -> Environment:
    environment = make_environment()
    environment.revision("a")
    environment.revision("b")
    return environment


def hands_over(environment: Environment, *, opened: str = "connect()", body: str = PLAIN, engine: str = "") -> None:
    text = ENV.format(url=environment.url, opened=opened, engine=engine, body=indent(body.strip(), "    "))
    (environment.folder / "alembic" / "env.py").write_text(text)


AUTOCOMMIT = {"engine": {"engine": ', isolation_level="AUTOCOMMIT"'}}
AUTOCOMMIT["connection"] = {"opened": 'connect().execution_options(isolation_level="AUTOCOMMIT")'}


@pytest.mark.parametrize("way", AUTOCOMMIT)
async def test_a_connection_in_autocommit_migrates_and_every_revision_is_declared_to_be_outside_a_transaction(
    environment: Environment, database: Database, start_engine: StartEngine, way: str
) -> None:
    environment.revision("c", 'op.execute("CREATE INDEX CONCURRENTLY an_index ON t_a (id)")')
    hands_over(environment, **AUTOCOMMIT[way])
    operation = await carry_out(start_engine(environment))
    assert operation.state is OperationState.SUCCEEDED, operation.error
    assert kinds(database, operation.operation_id) == ["attempt", *["nontx_started", "applied"] * 3]
    assert lock_is_free(database)


async def test_a_failure_in_autocommit_needs_attention_because_a_part_may_exist(
    environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    environment.revision("c", 'op.execute("CREATE TABLE t_half (id int)"); op.execute("SELECT 1/0")')
    hands_over(environment, engine=', isolation_level="AUTOCOMMIT"')
    operation = await carry_out(start_engine(environment))
    assert (operation.state, operation.error.code) == (OperationState.NEEDS_ATTENTION, "CM-405")
    assert (version(database), "t_half" in tables(database)) == (["b"], True)


async def test_an_autocommit_revision_waits_patiently_and_a_transactional_one_does_not(
    environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    keep = "op.execute(\"CREATE TABLE t_patience AS SELECT current_setting('lock_timeout')\")"
    environment.revision("c", keep)
    hands_over(environment, engine=', isolation_level="AUTOCOMMIT"')
    await carry_out(start_engine(environment))
    assert rows(database, "SELECT * FROM t_patience") == [("10min",)]


async def test_a_transaction_of_env_py_is_its_own_to_commit(
    environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    hands_over(environment, opened="begin()", body="context.configure(connection=connection)\ncontext.run_migrations()")
    operation = await carry_out(start_engine(environment))
    assert operation.state is OperationState.SUCCEEDED, operation.error
    journal = "SELECT count(DISTINCT xid) FROM migration_sidecar.journal WHERE xid IS NOT NULL"
    assert rows(database, journal) == [(1,)]


async def test_a_failure_in_a_transaction_of_env_py_undoes_all_of_it(
    environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    environment.revision("c", 'op.execute("SELECT 1/0")')
    hands_over(environment, opened="begin()", body="context.configure(connection=connection)\ncontext.run_migrations()")
    operation = await carry_out(start_engine(environment))
    assert (operation.state, operation.error.code) == (OperationState.FAILED, "CM-401")
    assert (tables(database), applied(database)) == (set(), [])


async def test_an_env_py_that_never_commits_is_told_so(
    environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    """Bare Alembic ends well there, and nothing is kept."""
    hands_over(environment, body=f'connection.execute(text("SELECT 1"))\n{PLAIN.strip()}')
    operation = await carry_out(start_engine(environment))
    assert (operation.state, operation.error.code) == (OperationState.FAILED, "CM-410")
    assert (tables(database), lock_is_free(database)) == (set(), True)


async def test_one_that_commits_what_it_began_succeeds(
    environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    """Also where it configured twice, so that the outcome is not told by the version table alone."""
    begun = 'connection.execute(text("SELECT 1"))\ncontext.configure(connection=connection)'
    hands_over(environment, body=f"{begun}\n{PLAIN.strip()}\nconnection.commit()")
    operation = await carry_out(start_engine(environment))
    assert operation.state is OperationState.SUCCEEDED, operation.error
    assert version(database) == ["b"]


async def test_an_env_py_may_configure_twice_and_listen_itself(
    environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    listening = """
def heard(*, ctx, step, heads, run_args):
    ctx.connection.execute(text("CREATE TABLE t_heard_" + step.up_revision_id + " ()"))
context.configure(connection=connection, compare_type=True)
context.configure(connection=connection, transaction_per_migration=False, on_version_apply=heard)
with context.begin_transaction():
    context.run_migrations()
"""
    hands_over(environment, body=listening)
    operation = await carry_out(start_engine(environment))
    assert operation.state is OperationState.SUCCEEDED, operation.error
    assert {"t_heard_a", "t_heard_b"} <= tables(database)
    assert applied(database) == ["a", "b"]


async def test_one_env_py_may_migrate_several_tenants_by_search_path(
    environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    tenants = f"""
for tenant in ("north", "south"):
    with connection.begin():
        connection.execute(text("CREATE SCHEMA IF NOT EXISTS " + tenant))
        connection.execute(text("SET search_path TO " + tenant))
    connection.dialect.default_schema_name = tenant
{indent(PLAIN.strip(), "    ")}
"""
    hands_over(environment, body=tenants)
    await carry_out(start_engine(environment))
    made = "SELECT schemaname FROM pg_tables WHERE tablename = 't_b' ORDER BY 1"
    assert rows(database, made) == [("north",), ("south",)]
    assert applied(database) == ["a", "b", "a", "b"]


BOTH = f"""
for name in ("first_version", "second_version"):
{indent(PLAIN.strip().replace("connection=connection", "connection=connection, version_table=name"), "    ")}
"""


async def test_one_env_py_may_migrate_two_version_tables(
    environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    environment.revision("a", 'op.execute("CREATE TABLE IF NOT EXISTS t_a ()")', below=None)
    environment.revision("b", 'op.execute("CREATE TABLE IF NOT EXISTS t_b ()")', below="a")
    hands_over(environment, body=BOTH)
    engine = start_engine(environment)
    operation = await carry_out(engine)
    assert operation.state is OperationState.SUCCEEDED, operation.error
    journal = (
        "SELECT version_table, count(*) FROM migration_sidecar.journal WHERE kind = 'applied' GROUP BY 1 ORDER BY 1"
    )
    assert rows(database, journal) == [("first_version", 2), ("second_version", 2)]
    async with engine.database.connection() as connection:
        unrelayed = await (await engine.target_database.records()).journal.unrelayed(connection, 100, [])
    assert [row["kind"] for row in unrelayed].count("applied") == 4


async def test_a_failure_in_the_second_of_two_version_tables_is_not_called_success(
    environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    """The first one is at its head, and that is what the status looks at."""
    hands_over(environment, body=BOTH)
    operation = await carry_out(start_engine(environment))
    assert operation.error is not None
    assert (operation.state, operation.error.code, operation.error.sqlstate) == (
        OperationState.FAILED,
        "CM-401",
        "42P07",
    )


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
async def test_an_env_py_may_go_on_with_another_engine_while_its_first_one_keeps_a_session_in_its_pool(
    environment: Environment, database: Database, start_engine: StartEngine, driver: str
) -> None:
    second = f"""
with create_engine(engine.url).connect() as connection:
{indent(PLAIN.strip(), "    ")}
"""
    hands_over(environment)
    env = environment.folder / "alembic" / "env.py"
    text = env.read_text() + second
    if driver == "asyncpg":
        text = ASYNC.format(url=database.async_url)
    env.write_text(text)
    operation = await carry_out(start_engine(environment), deadline_seconds=20)
    assert operation.state is OperationState.SUCCEEDED, operation.error
    assert operation.finished_at is not None
    assert operation.started_at is not None
    assert operation.finished_at - operation.started_at < timedelta(seconds=15)  # it did not wait for its own lock
    assert applied(database) == ["a", "b"]
