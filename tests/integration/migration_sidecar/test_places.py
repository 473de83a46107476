"""Which database an environment migrates is what its env.py says, wherever that has it from."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from migration_sidecar.config.settings import CommandLineOverrides, read_settings
from migration_sidecar.contract.errors import ProblemError
from migration_sidecar.contract.messages import DatabaseState, OperationState
from migration_sidecar.engine.engine import Engine
from migration_sidecar.protocol.version_table import VersionTable
from tests.integration.databases import CreateDatabase, Database
from tests.integration.migration_sidecar.environments import Environment, carry_out, rows, tables, version

OpenEngine = Callable[..., Engine]

RUN = """
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=None{options})
        with context.begin_transaction():
            context.run_migrations()
"""
FROM_ENVIRONMENT = 'engine = create_engine(os.environ["ORDERS_DSN"])'
FROM_X = 'engine = create_engine(context.get_x_argument(as_dictionary=True)["dsn"])'
FROM_SETTINGS = """
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from orders_settings import DSN
    engine = create_engine(DSN)
"""
FROM_INI = """
    from sqlalchemy import engine_from_config
    engine = engine_from_config(context.config.get_section("alembic"), prefix="sqlalchemy.")
"""
FROM_DRIVER = """
    import psycopg
    parts = dict(part.split("=", 1) for part in os.environ["ORDERS_PARTS"].split(" "))
    engine = create_engine("postgresql+psycopg://", connect_args=parts)
"""
ASYNCHRONOUS = """
    import asyncio
    from sqlalchemy.ext.asyncio import create_async_engine

    def migrate(connection):
        context.configure(connection=connection, target_metadata=None)
        with context.begin_transaction():
            context.run_migrations()

    async def run():
        async with create_async_engine(os.environ["ORDERS_DSN"]).connect() as connection:
            await connection.run_sync(migrate)

    asyncio.run(run())
"""


def written(environment: Environment, engine: str, options: str = "", *, run: str = RUN) -> Environment:
    """Its own env.py, with an ini that knows no database."""
    text = "import os, sys\nfrom alembic import context\nfrom sqlalchemy import create_engine, text\n"
    env = environment.folder / "alembic" / "env.py"
    env.write_text(text + dedent(engine) + dedent(run).replace("{options}", options))
    environment.set_url("driver://user:pass@localhost/dbname")
    environment.revision("one")
    return environment


@pytest.fixture
async def open_engine() -> AsyncIterator[OpenEngine]:
    """An engine with processes of its own, in an environment of its own."""
    engines: list[Engine] = []

    def start(environment: Environment, variables: dict[str, str] | None = None, **given: Any) -> Engine:
        inherited = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"}
        settings = read_settings(environment.ini, variables or {}, CommandLineOverrides(**given))
        engines.append(Engine(settings, {**inherited, **(variables or {})}))
        return engines[-1]

    yield start
    for engine in engines:
        await engine.close()


def parts(database: Database) -> str:
    url = make_url(database.url)
    return f"host={url.host} port={url.port} user={url.username} password={url.password} dbname={url.database}"


@pytest.mark.parametrize(
    ("engine_text", "run", "variable", "given"),
    [
        (FROM_ENVIRONMENT, RUN, "ORDERS_DSN", ()),
        (FROM_X, RUN, "", ("dsn={url}",)),
        (FROM_SETTINGS, RUN, "", ()),
        (FROM_DRIVER, RUN, "ORDERS_PARTS", ()),
        (ASYNCHRONOUS, "", "ORDERS_DSN", ()),
    ],
    ids=["an environment variable", "-x", "a settings module", "arguments of the driver", "an asynchronous engine"],
)
async def test_an_address_is_found_wherever_env_py_has_it_from(
    engine_text: str,
    run: str,
    variable: str,
    given: tuple[str, ...],
    environment: Environment,
    database: Database,
    open_engine: OpenEngine,
) -> None:
    written(environment, engine_text, run=run)
    (environment.folder / "orders_settings.py").write_text(f"DSN = {database.url!r}\n")
    url = database.async_url if engine_text is ASYNCHRONOUS else database.url
    variables = {"ORDERS_DSN": url, "ORDERS_PARTS": parts(database)}
    engine = open_engine(
        environment,
        {variable: variables[variable]} if variable else {},
        x=tuple(pair.format(url=url) for pair in given),
    )

    assert (await engine.reader.status()).state is DatabaseState.EMPTY
    assert engine.target_database.database == database.name
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    assert version(database) == ["one"]
    assert (await engine.reader.status()).state is DatabaseState.AT_HEAD


async def test_a_look_leaves_no_trace(environment: Environment, database: Database, open_engine: OpenEngine) -> None:
    engine = open_engine(written(environment, FROM_ENVIRONMENT), {"ORDERS_DSN": database.url})
    await engine.reader.status()

    assert rows(database, "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace") == []


async def test_env_py_is_asked_again_only_when_a_file_changed(
    environment: Environment, database: Database, create_database: CreateDatabase, open_engine: OpenEngine
) -> None:
    other = create_database()
    settings = environment.folder / "orders_settings.py"
    settings.write_text(f"DSN = {database.url!r}\n")
    engine = open_engine(written(environment, FROM_SETTINGS))
    asked = 0
    ask = engine.forkserver.ask

    async def counted(job: dict[str, Any], **more: Any) -> dict[str, Any]:
        nonlocal asked
        asked += job["kind"] == "look"
        return await ask(job, **more)

    engine.forkserver.ask = counted  # type: ignore[method-assign]
    assert (await engine.reader.status()).database == database.name
    assert (await engine.reader.status()).database == database.name
    assert asked == 1
    settings.write_text(f"DSN = {other.url!r}\n")
    assert (await engine.reader.status()).database == other.name
    assert asked == 2


async def test_a_database_url_that_env_py_does_not_use_is_not_looked_at(
    environment: Environment, database: Database, create_database: CreateDatabase, open_engine: OpenEngine
) -> None:
    other = create_database()
    nowhere = make_url(other.url).set(port=9).render_as_string(hide_password=False)
    written(environment, FROM_ENVIRONMENT)
    for declared in (other.url, nowhere):
        engine = open_engine(environment, {"ORDERS_DSN": database.url, "DATABASE_URL": declared})
        assert (await engine.reader.status()).database == database.name
        assert (await carry_out(engine)).state is OperationState.SUCCEEDED
        assert (await engine.reader.status()).state is DatabaseState.AT_HEAD
    assert version(database) == ["one"]
    assert rows(other, "SELECT count(*) FROM pg_namespace WHERE nspname = 'migration_sidecar'") == [(0,)]
    assert tables(other) == set()


async def test_an_address_by_option_holds_for_any_env_py(
    environment: Environment, database: Database, create_database: CreateDatabase, open_engine: OpenEngine
) -> None:
    wanted = create_database()
    written(environment, FROM_ENVIRONMENT)
    engine = open_engine(environment, {"ORDERS_DSN": database.url}, database_url=wanted.url)

    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    assert version(wanted) == ["one"]
    assert tables(database) == set()
    assert rows(database, "SELECT count(*) FROM pg_namespace WHERE nspname = 'migration_sidecar'") == [(0,)]


async def test_an_address_by_option_finds_the_asynchronous_driver_of_env_py(
    make_environment: Callable[..., Environment], database: Database, create_database: CreateDatabase, open_engine: Any
) -> None:
    environment, wanted = make_environment("async"), create_database()
    environment.revision("one", 'assert op.get_bind().dialect.driver == "asyncpg"')
    engine = open_engine(environment, database_url=wanted.url.replace("postgresql+psycopg", "postgresql"))

    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    assert version(wanted) == ["one"]


async def test_the_version_table_is_the_one_that_env_py_names(
    environment: Environment, database: Database, open_engine: OpenEngine
) -> None:
    rows_of_ops = 'with engine.begin() as connection: connection.execute(text("CREATE SCHEMA IF NOT EXISTS ops"))\n'
    options = ', version_table="orders_version", version_table_schema="ops"'
    written(environment, f"{FROM_ENVIRONMENT}\n{rows_of_ops}", options)
    engine = open_engine(environment, {"ORDERS_DSN": database.url})

    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    assert (await engine.target_database.resolve()).table == VersionTable("orders_version", "ops")
    assert (await engine.reader.status()).state is DatabaseState.AT_HEAD
    with database.connect() as connection:
        assert connection.execute("SELECT version_num FROM ops.orders_version").fetchall() == [("one",)]


async def test_a_version_table_is_found_along_the_search_path_of_env_py(
    environment: Environment, database: Database, open_engine: OpenEngine
) -> None:
    with database.connect() as connection:
        connection.execute("CREATE SCHEMA acme")
    written(
        environment,
        FROM_ENVIRONMENT,
        run=RUN.replace(
            "context.configure",
            'connection.execute(text("SET search_path TO acme")); connection.commit(); context.configure',
        ),
    )
    engine = open_engine(environment, {"ORDERS_DSN": database.url})

    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    assert (await engine.reader.status()).state is DatabaseState.AT_HEAD
    with database.connect() as connection:
        assert connection.execute("SELECT version_num FROM acme.alembic_version").fetchall() == [("one",)]


async def test_an_argument_that_env_py_asks_for_in_vain_is_named(
    environment: Environment, open_engine: OpenEngine
) -> None:
    status = await open_engine(written(environment, FROM_X)).reader.status()

    assert status.error is not None
    assert status.error.code == "CM-701"
    assert "-x dsn" in status.error.next_step
    assert status.head_revisions == ["one"]


async def test_an_env_py_that_fails_does_not_break_the_status_of_the_database_that_is_declared(
    environment: Environment, database: Database, open_engine: OpenEngine
) -> None:
    engine = open_engine(written(environment, "raise ZeroDivisionError('on purpose')"), {"DATABASE_URL": database.url})
    status = await engine.reader.status()

    assert (status.state, status.database, status.head_revisions) == (DatabaseState.UNKNOWN, database.name, ["one"])
    assert status.error is not None
    assert status.error.code == "CM-407"
    assert "ZeroDivisionError" in status.error.detail
    assert "DATABASE_URL names it" in status.error.detail


async def test_a_server_that_is_away_is_named_as_such_and_not_as_a_fault_of_env_py(
    environment: Environment, database: Database, open_engine: OpenEngine
) -> None:
    away = make_url(database.url).set(port=9).render_as_string(hide_password=False)
    status = await open_engine(written(environment, FROM_ENVIRONMENT), {"ORDERS_DSN": away}).reader.status()

    assert status.state is DatabaseState.UNREACHABLE
    assert status.error is not None
    assert status.error.code == "CM-513"


async def test_an_env_py_with_several_databases_is_refused(
    environment: Environment, database: Database, create_database: CreateDatabase, open_engine: OpenEngine
) -> None:
    other = create_database()
    second = "engine = create_engine(os.environ['OTHER_DSN'])" + dedent(RUN).replace("{options}", "")
    written(environment, FROM_ENVIRONMENT, run=dedent(RUN) + second)
    engine = open_engine(environment, {"ORDERS_DSN": database.url, "OTHER_DSN": other.url})

    with pytest.raises(ProblemError, match="several databases"):
        await engine.target_database.url()


async def test_a_password_in_what_env_py_raises_is_never_told(
    environment: Environment, database: Database, open_engine: OpenEngine
) -> None:
    url = make_url(database.url).set(password="canary@word").render_as_string(hide_password=False)
    for text in ("os.environ['DATABASE_URL']", "'with canary@word it goes no further'"):
        written(environment, f"raise RuntimeError({text})", run="")
        reason = (await open_engine(environment, {"DATABASE_URL": url}).target_database.resolve()).reason
        assert reason is not None
        assert "RuntimeError" in reason.detail
        assert "canary" not in reason.model_dump_json()


def test_no_file_is_named_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match=r"CM-303 .*The file pyproject\.toml is not there"):
        read_settings(tmp_path / "pyproject.toml", {})
