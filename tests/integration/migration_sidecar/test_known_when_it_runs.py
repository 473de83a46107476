"""What Alembic finds when it runs the migrations counts, after all that env.py did before."""

from __future__ import annotations

import pytest

from migration_sidecar.contract.messages import Action, DatabaseState, OperationState
from migration_sidecar.engine.engine import Engine
from tests.integration.databases import CreateDatabase, Database
from tests.integration.migration_sidecar.conftest import MakeEnvironment, StartEngine
from tests.integration.migration_sidecar.environments import Environment, carry_out, rows, tables

ENV = """
from alembic import context
from sqlalchemy import create_engine, inspect, text

engine = create_engine({url!r}{options})
{before}
with engine.connect() as connection:
    {prepare}
    context.configure(connection=connection{configure})
    with context.begin_transaction():
        context.run_migrations()
"""
RENAME = """{there}.execute(text("ALTER TABLE IF EXISTS alembic_version RENAME TO shop_version"))"""
RENAMES = {
    "on the same connection": {"prepare": f"{RENAME.format(there='connection')}; connection.commit()"},
    "on another connection": {"before": f"with engine.begin() as first: {RENAME.format(there='first')}"},
}
WIDEN = 'op.execute("ALTER TABLE alembic_version ALTER version_num TYPE varchar(99)")'
LONG_ID = "b" * 40
READ_ONLY = "ALTER DATABASE {name} SET default_transaction_read_only = on"
WRITES = {
    "by an option of the connection": {"options": ", connect_args={'options': '-c default_transaction_read_only=off'}"},
    "by SET": {"prepare": 'connection.execute(text("SET default_transaction_read_only = off")); connection.commit()'},
}


def writes(environment: Environment, **parts: str) -> None:
    empty = {"options": "", "before": "", "prepare": "pass", "configure": ""}
    text = ENV.format(url=environment.url, **{**empty, **parts})
    (environment.folder / "alembic" / "env.py").write_text(text)


async def warned(engine: Engine) -> list[str]:
    plan = await engine.reader.plan(Action.UPGRADE, "head")
    assert plan.obstacles == []
    return [warning.code for warning in plan.warnings]


@pytest.mark.parametrize("rename", RENAMES.values(), ids=RENAMES)
async def test_a_version_table_that_env_py_renames_is_told_as_it_will_be(
    rename: dict[str, str], environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    environment.revision("a1")
    await carry_out(start_engine(environment))
    with database.connect() as connection:
        connection.execute("DROP SCHEMA migration_sidecar CASCADE")
    environment.revision("a2")
    writes(environment, configure=", version_table='shop_version'", **rename)
    engine = start_engine(environment)
    for _ in range(2):
        status = await engine.reader.status()
        assert (status.state, status.current_revisions, status.pending) == (DatabaseState.BEHIND, ["a1"], ["a2"])
    assert await warned(engine) == ["CM-416"]
    assert rows(database, "SELECT version_num FROM alembic_version") == [("a1",)]

    operation = await carry_out(engine)
    assert (operation.state, operation.current_revisions) == (OperationState.SUCCEEDED, ["a2"])
    assert rows(database, "SELECT version_num FROM shop_version") == [("a2",)]
    assert (await engine.reader.status()).state is DatabaseState.AT_HEAD
    assert await warned(engine) == []


@pytest.mark.parametrize("way", WRITES.values(), ids=WRITES)
async def test_whether_it_can_be_written_is_what_env_py_decides(
    way: dict[str, str], environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    environment.revision("a1")
    with database.connect() as connection:
        connection.execute(READ_ONLY.format(name=database.name))  # type: ignore[arg-type]
    writes(environment, **way)
    engine = start_engine(environment)
    assert await warned(engine) == []
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    assert (await engine.reader.status()).state is DatabaseState.AT_HEAD


async def test_an_env_py_that_forbids_writes_itself_is_told_before(
    environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    environment.revision("a1")
    writes(environment, options=", connect_args={'options': '-c default_transaction_read_only=on'}")
    plan = await start_engine(environment).reader.plan(Action.UPGRADE, "head")
    assert [obstacle.code for obstacle in plan.obstacles] == ["CM-521"]


async def test_a_version_table_is_where_a_schema_translate_map_puts_it(
    environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    environment.revision("a1")
    translated = "connection = connection.execution_options(schema_translate_map={None: 'acme'})"
    schema = 'connection.execute(text("CREATE SCHEMA IF NOT EXISTS acme")); connection.commit()'
    writes(environment, prepare=f"{schema}; {translated}")
    engine = start_engine(environment)
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    assert rows(database, "SELECT version_num FROM acme.alembic_version") == [("a1",)]
    assert (await engine.reader.status()).state is DatabaseState.AT_HEAD


async def test_a_version_table_further_back_in_the_search_path_is_the_one(
    environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    environment.revision("a1")
    await carry_out(start_engine(environment))
    environment.revision("a2")
    with database.connect() as connection:
        connection.execute("CREATE SCHEMA acme")
    writes(environment, prepare='connection.execute(text("SET search_path TO acme, public")); connection.commit()')
    engine = start_engine(environment)
    assert (await engine.reader.status()).current_revisions == ["a1"]
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    assert rows(database, "SELECT version_num FROM public.alembic_version") == [("a2",)]


@pytest.mark.parametrize("has_journal", [True, False], ids=["with a journal", "without one"])
async def test_a_database_that_env_py_configures_only_to_read_it_is_left_alone(
    has_journal: bool,
    make_environment: MakeEnvironment,
    create_database: CreateDatabase,
    environment: Environment,
    database: Database,
    start_engine: StartEngine,
) -> None:
    other = create_database()
    if has_journal:
        neighbour = make_environment(url=other.url, name="neighbour")
        neighbour.revision("b1")
        await carry_out(start_engine(neighbour))
    before = rows(other, "SELECT relname FROM pg_class ORDER BY 1")
    environment.revision("a1")
    reads = f"""
with create_engine({other.url!r}).connect() as first:
    context.configure(connection=first)
    context.get_context().get_current_heads()
"""
    writes(environment, before=reads)
    engine = start_engine(environment)
    assert (await engine.reader.status()).database == database.name
    operation = await carry_out(engine)
    assert (operation.state, operation.error) == (OperationState.SUCCEEDED, None)
    assert rows(database, "SELECT version_num FROM alembic_version") == [("a1",)]
    assert rows(other, "SELECT relname FROM pg_class ORDER BY 1") == before
    if has_journal:
        assert rows(other, "SELECT count(DISTINCT operation_id) FROM migration_sidecar.journal") == [(1,)]


@pytest.mark.parametrize("own_file", [True, False], ids=["in its own file", "in the one before"])
async def test_a_long_id_fits_where_a_revision_widens_the_column_first(
    own_file: bool, environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    environment.revision("a1", None if own_file else WIDEN)
    environment.revision(LONG_ID, WIDEN if own_file else None)
    engine = start_engine(environment)
    assert await warned(engine) == ["CM-416"]
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    assert rows(database, "SELECT version_num FROM alembic_version") == [(LONG_ID,)]


async def test_a_long_id_that_does_not_fit_after_all_is_refused_when_it_runs(
    environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    environment.revision("a1", "op.execute(\"SELECT 'version_num'\")")
    environment.revision(LONG_ID)
    engine = start_engine(environment)
    assert await warned(engine) == ["CM-416"]
    operation = await carry_out(engine)
    assert operation.error is not None
    assert (operation.state, operation.error.code, operation.error.revision) == (
        OperationState.FAILED,
        "CM-302",
        LONG_ID,
    )
    assert "40 characters" in operation.error.detail
    assert tables(database) == set()
