"""Whoever asks for a status runs somebody else's env.py, and nothing of what that writes is kept."""

from __future__ import annotations

import pytest

from migration_sidecar.contract.messages import DatabaseState, OperationState
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import MakeEnvironment, StartEngine
from tests.integration.migration_sidecar.environments import carry_out, rows

ENV = """
from alembic import context
from sqlalchemy import create_engine, text

engine = create_engine({url!r}{options})
with engine.begin() as connection:
    connection.execute(text("CREATE SCHEMA IF NOT EXISTS stock"))
    connection.execute(text("CREATE TABLE IF NOT EXISTS settings (id int)"))
{more}
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
READS_IT = """
with engine.connect() as connection:
    connection.execute(text("SELECT * FROM settings"))
"""
WAITS_FOR_IT = """
first = engine.connect()
first.execute(text("LOCK TABLE pg_catalog.pg_language IN SHARE MODE"))
first.commit()
with engine.begin() as connection:
    connection.execute(text("LOCK TABLE pg_catalog.pg_language IN ROW EXCLUSIVE MODE"))
first.close()
"""
ASYNC = """
import asyncio
from alembic import context
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine


def migrate(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()


async def main():
    engine = create_async_engine({url!r})
    async with engine.begin() as connection:
        await connection.execute(text("CREATE SCHEMA IF NOT EXISTS stock"))
        await connection.execute(text("CREATE TABLE IF NOT EXISTS settings (id int)"))
    async with engine.connect() as connection:
        await connection.run_sync(migrate)


asyncio.run(main())
"""
MADE = "SELECT to_regnamespace('stock')::text, to_regclass('settings')::text"


@pytest.mark.parametrize("template", ["generic", "async"])
async def test_a_status_makes_nothing_and_the_database_stays_empty(
    template: str, make_environment: MakeEnvironment, database: Database, start_engine: StartEngine
) -> None:
    environment = make_environment(template)
    environment.revision("a")
    text = (
        ASYNC.format(url=environment.url)
        if template == "async"
        else ENV.format(url=environment.url, options="", more="")
    )
    (environment.folder / "alembic" / "env.py").write_text(text)
    engine = start_engine(environment)
    status = await engine.reader.status()
    assert (status.state, status.error) == (DatabaseState.EMPTY, None)
    assert rows(database, MADE) == [(None, None)]
    operation = await carry_out(engine)
    assert operation.state is OperationState.SUCCEEDED, operation.error
    assert rows(database, MADE) == [("stock", "settings")]


@pytest.mark.parametrize(
    ("more", "code"), [(READS_IT, "CM-413"), (WAITS_FOR_IT, None)], ids=["reads it", "waits for it"]
)
async def test_an_env_py_that_needs_what_it_wrote_leaves_nothing_either_and_the_status_says_what_it_could_not_see(
    more: str, code: str | None, make_environment: MakeEnvironment, database: Database, start_engine: StartEngine
) -> None:
    environment = make_environment()
    environment.revision("a")
    text = ENV.format(url=environment.url, options="", more=more)
    (environment.folder / "alembic" / "env.py").write_text(text)
    engine = start_engine(environment)
    status = await engine.reader.status()
    assert (status.state, status.error and status.error.code) == (DatabaseState.EMPTY, code)
    assert rows(database, MADE) == [(None, None)]
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED


MIGRATES = """
from alembic import context
from sqlalchemy import create_engine, text


def migrate(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
    for statement in {statements!r}:
        connection.execute(text(statement))
    {more}
    connection.execute(text("CREATE TABLE IF NOT EXISTS settings (id int)"))
    connection.commit()

"""
SYNC_TAIL = """
with create_engine({url!r}).connect() as connection:
    migrate(connection)
"""
ASYNC_TAIL = """
import asyncio
from sqlalchemy.ext.asyncio import create_async_engine


async def main():
    async with create_async_engine({url!r}).connect() as connection:
        await connection.run_sync(migrate)


asyncio.run(main())
"""
SCHEMA = "CREATE SCHEMA IF NOT EXISTS stock"
IN_A_SAVEPOINT = f"with connection.begin_nested(): connection.execute(text({SCHEMA!r}))"


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
@pytest.mark.parametrize(
    ("statements", "more"),
    [
        ((SCHEMA, "COMMIT"), ""),
        ((SCHEMA, "COMMIT AND CHAIN"), ""),
        (("ROLLBACK", SCHEMA), ""),
        (("SELECT 1", "COMMIT", SCHEMA), ""),
        (("SAVEPOINT point", SCHEMA, "RELEASE SAVEPOINT point"), ""),
        ((SCHEMA, "SAVEPOINT point", "ROLLBACK TO SAVEPOINT point"), ""),
        ((), IN_A_SAVEPOINT),
    ],
)
async def test_an_env_py_that_handles_its_transactions_by_itself_leaves_nothing_either(
    statements: tuple[str, ...],
    more: str,
    driver: str,
    make_environment: MakeEnvironment,
    database: Database,
    start_engine: StartEngine,
) -> None:
    environment = make_environment("async" if driver == "asyncpg" else "generic")
    environment.revision("a")
    tail = (ASYNC_TAIL if driver == "asyncpg" else SYNC_TAIL).format(url=environment.url)
    (environment.folder / "alembic" / "env.py").write_text(MIGRATES.format(statements=statements, more=more) + tail)
    engine = start_engine(environment)
    status = await engine.reader.status()
    assert (status.state, status.error) == (DatabaseState.EMPTY, None)
    assert rows(database, MADE) == [(None, None)]
    operation = await carry_out(engine)
    assert operation.state is OperationState.SUCCEEDED, operation.error
    assert rows(database, MADE) == [("stock", "settings")]


@pytest.mark.parametrize("block", [True, False])
async def test_what_asyncpg_does_behind_a_commit_that_it_did_not_see_is_foreseen_and_called_done(
    block: bool, make_environment: MakeEnvironment, database: Database, start_engine: StartEngine
) -> None:
    environment = make_environment("async")
    environment.revision("a")
    text = MIGRATES.format(statements=(), more="").replace(
        "    with context",
        f"    for statement in ({SCHEMA!r}, 'COMMIT', 'SET LOCAL search_path TO stock'):\n"
        "        connection.execute(text(statement))\n    with context",
    )
    text = text if block else text.replace("with context.begin_transaction()", "if True")
    text = text[: text.index("    for statement in ():")] + ASYNC_TAIL.format(url=environment.url)
    (environment.folder / "alembic" / "env.py").write_text(text)
    operation = await carry_out(start_engine(environment))
    assert operation.state is OperationState.SUCCEEDED, operation.error
    assert [each.revision for each in operation.applied] == ["a"]
    assert rows(database, "SELECT version_num FROM public.alembic_version") == [("a",)]
