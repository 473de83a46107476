"""Databases that cannot or must not be migrated: each says why, and stays as it was."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from migration_sidecar.contract.errors import DatabaseUnreachable
from migration_sidecar.contract.messages import Action, DatabaseState, OperationState
from migration_sidecar.engine.engine import Engine
from scripts.infrastructure import ports
from scripts.infrastructure.postgres import PostgresServer
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import MakeEnvironment, StartEngine
from tests.integration.migration_sidecar.environments import Environment, carry_out, request, rows, version


@contextmanager
def role(postgres: PostgresServer, name: str, password: str = "secret") -> Iterator[None]:
    with postgres.address.connect() as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), password))
        try:
            yield
        finally:
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def execute(database: Database, *statements: str) -> None:
    with database.connect() as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[arg-type]


async def obstacle(engine: Engine) -> str:
    """The code that the plan gives, after an operation was refused with the same one."""
    operation = await carry_out(engine)
    assert operation.state is OperationState.FAILED
    assert operation.error is not None
    plan = await engine.reader.plan(Action.UPGRADE, "head")
    assert [each.code for each in plan.obstacles] == [operation.error.code]
    return operation.error.code


async def test_a_database_that_a_newer_image_migrated_is_left_alone(
    engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    newest = environment.revision("a2")
    await carry_out(engine)
    newest.unlink()
    status = await engine.reader.status()
    assert status.state is DatabaseState.AHEAD
    assert status.error is not None
    assert "at a2, this image knows up to a1" in status.error.detail
    assert await obstacle(engine) == "CM-551"


async def test_a_database_with_another_history_is_foreign_before_and_after_it_was_asked_to_migrate(
    engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    execute(
        database,
        "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)",
        "INSERT INTO alembic_version VALUES ('theirs')",
    )
    for _ in range(2):
        assert (await engine.reader.status()).state is DatabaseState.FOREIGN
        assert await obstacle(engine) == "CM-552"


@pytest.mark.parametrize("with_empty_version_table", [False, True])
async def test_tables_without_a_version_row_are_never_guessed_about(
    with_empty_version_table: bool, engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    execute(database, "CREATE TABLE t_a1 (id int)")
    if with_empty_version_table:
        execute(database, "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
    assert (await engine.reader.status()).state is DatabaseState.UNMANAGED
    assert await obstacle(engine) == "CM-552"
    assert rows(database, "SELECT attname FROM pg_attribute WHERE attrelid = 't_a1'::regclass AND attnum > 0") == [
        ("id",)
    ]


async def test_a_table_that_an_extension_brought_does_not_make_a_database_unmanaged(
    engine: Engine, environment: Environment, database: Database
) -> None:
    """As spatial_ref_sys of PostGIS."""
    environment.revision("a1")
    execute(database, "CREATE EXTENSION vector; CREATE TABLE spatial (id int)")
    execute(database, "ALTER EXTENSION vector ADD TABLE spatial")
    assert (await engine.reader.status()).state is DatabaseState.EMPTY
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED


async def test_start_up_leaves_unfit_databases_alone(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    environment.revision("a1")
    execute(database, "CREATE TABLE t_a1 (id int)")
    engine = start_engine(environment)
    await engine.startup.run()
    assert rows(database, "SELECT to_regclass('migration_sidecar.operations')") == [(None,)]
    assert not (await engine.startup.readiness())[0]


async def refusal(engine: Engine) -> DatabaseUnreachable:
    """What status, plan and operation all say."""
    with pytest.raises(DatabaseUnreachable) as accepted:
        await engine.operations.accept(request())
    with pytest.raises(DatabaseUnreachable) as planned:
        await engine.reader.plan(Action.UPGRADE, "head")
    status = await engine.reader.status()
    assert status.state is DatabaseState.UNREACHABLE
    assert status.error == planned.value.problem == accepted.value.problem
    return accepted.value


async def test_a_wrong_password_names_the_user_and_never_the_password(
    environment: Environment, start_engine: StartEngine
) -> None:
    environment.revision("a1")
    wrong = make_url(environment.url).set(password="wrong-canary")
    environment.set_url(wrong.render_as_string(hide_password=False))
    refused = await refusal(start_engine(environment))
    assert (refused.problem.code, refused.status, refused.problem.retryable) == ("CM-501", 503, False)
    assert "user postgres" in refused.problem.detail
    assert "wrong-canary" not in refused.problem.model_dump_json()


async def test_a_role_that_does_not_exist(environment: Environment, start_engine: StartEngine) -> None:
    environment.revision("a1")
    environment.set_url(make_url(environment.url).set(username="nobody").render_as_string(hide_password=False))
    assert (await refusal(start_engine(environment))).problem.code in ("CM-501", "CM-502")


async def test_a_database_that_does_not_exist(environment: Environment, start_engine: StartEngine) -> None:
    environment.revision("a1")
    environment.set_url(make_url(environment.url).set(database="nowhere").render_as_string(hide_password=False))
    refused = await refusal(start_engine(environment))
    assert refused.problem.code == "CM-511"
    assert "createdb nowhere" in refused.problem.next_step


async def test_a_port_where_nobody_listens(environment: Environment, start_engine: StartEngine) -> None:
    environment.revision("a1")
    (closed,) = ports.choose(1)
    environment.set_url(make_url(environment.url).set(port=closed).render_as_string(hide_password=False))
    refused = await refusal(start_engine(environment))
    assert (refused.problem.code, refused.problem.retryable) == ("CM-513", True)
    assert f":{closed}" in refused.problem.detail


async def test_a_read_only_server_is_refused_before_anything_is_tried(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    environment.revision("a1")
    await carry_out(start_engine(environment))
    environment.revision("a2")
    execute(database, f"ALTER DATABASE {database.name} SET default_transaction_read_only = on")
    engine = start_engine(environment)
    plan = await engine.reader.plan(Action.UPGRADE, "head")
    assert [each.code for each in plan.obstacles] == ["CM-521"]
    with pytest.raises(DatabaseUnreachable) as refused:
        await engine.operations.accept(request())
    assert (refused.value.problem.code, refused.value.problem.retryable) == ("CM-521", True)


async def test_a_role_that_may_create_nothing_is_told_which_privilege_it_lacks(
    postgres: PostgresServer, environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    environment.revision("a1")
    with role(postgres, "reader"):
        reader = make_url(environment.url).set(username="reader", password="secret")
        environment.set_url(reader.render_as_string(hide_password=False))
        engine = start_engine(environment)
        plan = await engine.reader.plan(Action.UPGRADE, "head")
        assert [each.code for each in plan.obstacles] == ["CM-504"]
        assert "GRANT CREATE ON DATABASE" in plan.obstacles[0].next_step
        with pytest.raises(DatabaseUnreachable) as refused:
            await engine.operations.accept(request())
        assert (refused.value.problem.code, refused.value.problem.retryable) == ("CM-504", False)
        await engine.close()


async def test_start_up_waits_for_a_database_that_is_not_there_yet(
    postgres: PostgresServer, make_environment: MakeEnvironment, start_engine: StartEngine, database: Database
) -> None:
    """As after `dapr run` and before setup_databases.sh."""
    environment = make_environment()
    environment.revision("a1")
    environment.set_url(make_url(environment.url).set(database="late_comer").render_as_string(hide_password=False))
    engine = start_engine(environment)
    starting = asyncio.create_task(engine.startup.run())
    await asyncio.sleep(0.3)
    assert not starting.done()
    with postgres.address.connect() as connection:
        connection.execute("CREATE DATABASE late_comer TEMPLATE template0")
        try:
            await starting
            ended = engine.operations._tasks.values()
            await asyncio.gather(*ended)
            assert (await engine.startup.readiness()) == (True, "The database is at head.")
        finally:
            await engine.close()
            connection.execute("DROP DATABASE late_comer WITH (FORCE)")


async def test_a_server_that_lets_nobody_in_for_a_while_is_waited_for(
    postgres: PostgresServer, environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    environment.revision("a1")
    engine = start_engine(environment)
    await carry_out(engine)
    environment.revision("a2")
    with postgres.address.connect() as administrator:
        administrator.execute(
            sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS false").format(sql.Identifier(database.name))
        )
        administrator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (database.name,)
        )
        status = await engine.reader.status()
        assert status.state is DatabaseState.UNREACHABLE
        administrator.execute(
            sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true").format(sql.Identifier(database.name))
        )
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    assert version(database) == ["a2"]
