"""A process is kept ready while a migration is expected; it touches nothing, and nothing stale is ever used."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from migration_sidecar.contract.messages import Action, OperationState
from migration_sidecar.engine.engine import Engine
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import StartEngine
from tests.integration.migration_sidecar.environments import (
    Environment,
    applied,
    carry_out,
    lock_is_free,
    rows,
    tables,
    until,
    version,
)

OUR_ENV = "from migration_sidecar.environment import run\nfrom sqlalchemy import MetaData\n\nrun(MetaData())\n"
TRACES = """
SELECT to_regclass('migration_sidecar.journal') IS NOT NULL OR to_regclass('alembic_version') IS NOT NULL
       OR EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
                  AND xact_start IS NOT NULL)
"""


@pytest.fixture
def ours(environment: Environment) -> Environment:
    """The environment with our own env.py, which connects and then waits."""
    (environment.folder / "alembic" / "env.py").write_text(OUR_ENV)
    environment.revision("one")
    return environment


async def made_ready(engine: Engine) -> None:
    engine.prewarm(await engine.reader.plan(Action.UPGRADE, "head"))
    await until(lambda: engine.prewarmed_worker.is_ready)


async def test_a_process_that_is_ready_has_left_no_trace(ours: Environment, engine: Engine, database: Database) -> None:
    await made_ready(engine)

    # A driver opens a transaction for a moment while it gets to know the server.
    await until(lambda: sessions(database) >= 1 and rows(database, TRACES) == [(False,)])
    assert lock_is_free(database)


async def test_a_service_that_leaves_migrating_to_others_gets_ready_by_itself(
    ours: Environment, start_engine: StartEngine
) -> None:
    engine = start_engine(ours, MIGRATE_ON_STARTUP="check")
    watching = asyncio.create_task(engine.startup.watch())
    try:
        await until(lambda: engine.prewarmed_worker.is_ready)
    finally:
        watching.cancel()


async def test_the_process_that_is_ready_carries_the_operation_out(
    ours: Environment, engine: Engine, database: Database
) -> None:
    await made_ready(engine)
    operation = await carry_out(engine)

    assert (operation.state, operation.attempts) == (OperationState.SUCCEEDED, 1)
    assert applied(database) == ["one"]
    assert not engine.prewarmed_worker.is_ready


async def test_a_file_that_was_changed_meanwhile_counts_as_it_is_now(
    ours: Environment, engine: Engine, database: Database
) -> None:
    ours.revision("two", 'op.execute("SELECT 1/0")')
    await made_ready(engine)
    ours.revision("two", 'op.execute("CREATE TABLE t_repaired (id int)")', below="one")
    operation = await carry_out(engine)

    assert operation.state is OperationState.SUCCEEDED
    assert tables(database) == {"t_one", "t_repaired"}


async def test_a_connection_that_was_lost_meanwhile_costs_nothing(
    ours: Environment, engine: Engine, database: Database
) -> None:
    await made_ready(engine)
    await until(lambda: sessions(database) >= 1)
    rows(
        database,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND application_name NOT LIKE 'migration-sidecar %'",
    )
    await until(lambda: not engine.prewarmed_worker.is_ready)
    operation = await carry_out(engine)

    assert (operation.state, operation.attempts) == (OperationState.SUCCEEDED, 1)
    assert version(database) == ["one"]


async def test_somebody_elses_env_py_is_looked_at_and_not_run_to_migrate_before_there_are_orders(
    environment: Environment, engine: Engine, tmp_path: Path, database: Database
) -> None:
    environment.revision("one")
    trace = tmp_path / "env.py was here"
    env = environment.folder / "alembic" / "env.py"
    looks = "context._proxy.context_opts.get('dont_mutate')"  # all else is as in an upgrade
    noted = f"from pathlib import Path\nfrom alembic import context\n{looks} or Path({str(trace)!r}).touch()\n"
    env.write_text(noted + env.read_text())
    await made_ready(engine)

    assert not trace.exists()
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    assert trace.exists()


def sessions(database: Database) -> int:
    """Of migration processes: the service's own sessions have a name."""
    query = """SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
               AND pid <> pg_backend_pid() AND application_name NOT LIKE 'migration-sidecar %'"""
    ((count,),) = rows(database, query, *())
    return int(count)


async def test_an_env_py_that_only_connects_is_connected_and_waits(
    environment: Environment, engine: Engine, database: Database
) -> None:
    environment.revision("one")
    await made_ready(engine)

    # A driver opens a transaction for a moment while it gets to know the server.
    await until(lambda: sessions(database) >= 1 and rows(database, TRACES) == [(False,)])
    assert lock_is_free(database)
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED


async def test_a_file_that_env_py_imports_counts_as_it_is_when_the_orders_come(
    environment: Environment, engine: Engine, database: Database
) -> None:
    """Or the process that is ready would go where an older file led."""
    environment.revision("one")
    chosen = environment.folder / "chosen.py"
    chosen.write_text("table = 'before'\n")
    env = environment.folder / "alembic" / "env.py"
    text = env.read_text().replace("connection=connection,", "connection=connection, version_table=chosen.table,")
    env.write_text(f"import chosen\n{text}")
    await made_ready(engine)
    await until(lambda: sessions(database) >= 1)
    chosen.write_text("table = 'afterwards'\n")

    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    assert rows(database, "SELECT version_num FROM afterwards") == [("one",)]
    assert rows(database, "SELECT to_regclass('before')") == [(None,)]
