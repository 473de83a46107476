"""What may befall a process that is kept ready; under our env.py and under an untouched one."""

from __future__ import annotations

import os
import signal
from functools import partial

import psutil
import pytest

import migration_sidecar.engine.operations.prewarmed_worker
from migration_sidecar.contract.messages import Action, OperationState
from migration_sidecar.engine.engine import Engine
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import MakeEnvironment, StartEngine
from tests.integration.migration_sidecar.environments import (
    Environment,
    applied,
    carry_out,
    rows,
    until,
)

OURS = """
from sqlalchemy import MetaData

from migration_sidecar.environment import run

run(MetaData())
"""

# The engine's own sessions have this name; a migration that has its orders calls itself otherwise.
CONNECTED = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = ''
"""


@pytest.fixture(params=["ours", "generic"])
def environment(request: pytest.FixtureRequest, make_environment: MakeEnvironment) -> Environment:
    environment = make_environment()
    if request.param == "ours":
        (environment.folder / "alembic" / "env.py").write_text(OURS)
    environment.revision("a1")
    return environment


def is_ours(environment: Environment) -> bool:
    return "migration_sidecar" in (environment.folder / "alembic" / "env.py").read_text()


def sessions(database: Database) -> list[int]:
    return [pid for (pid,) in rows(database, CONNECTED)]


async def get_ready(engine: Engine, environment: Environment, database: Database) -> None:
    """Asks for the plan as the endpoint does, and waits until the process waits."""
    engine.prewarm(await engine.reader.plan(Action.UPGRADE, "head"))
    await until(lambda: engine.prewarmed_worker._ready is not None)
    if is_ours(environment):
        await until(partial(sessions, database))


async def test_an_env_py_that_changed_meanwhile_is_what_runs(
    engine: Engine, environment: Environment, database: Database
) -> None:
    await get_ready(engine, environment, database)
    file = environment.folder / "alembic" / "env.py"
    file.write_text("raise RuntimeError('the new one')\n" + file.read_text())
    operation = await carry_out(engine)
    assert operation.state is OperationState.FAILED
    assert operation.error is not None
    assert (operation.error.code, "the new one" in operation.error.full_detail) == ("CM-407", True)


async def test_another_target_than_expected_is_what_is_reached(
    engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a2")
    await get_ready(engine, environment, database)
    assert (await carry_out(engine, target="a1")).current_revisions == ["a1"]


async def test_a_session_that_ends_as_the_orders_come_costs_nothing(
    engine: Engine, environment: Environment, database: Database
) -> None:
    await get_ready(engine, environment, database)
    for pid in sessions(database):
        rows(database, "SELECT pg_terminate_backend(%s)", pid)
    operation = await carry_out(engine)
    assert operation.state is OperationState.SUCCEEDED
    assert applied(database) == ["a1"]


async def test_a_process_that_was_killed_while_it_waited_costs_nothing(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    engine = start_engine(environment, own_processes=True)
    await get_ready(engine, environment, database)
    for waiting in psutil.Process(engine.forkserver.pid).children():
        os.kill(waiting.pid, signal.SIGKILL)
    operation = await carry_out(engine)
    assert (operation.state, operation.attempts) == (OperationState.SUCCEEDED, 1)
    assert applied(database) == ["a1"]


async def test_nobody_waits_for_ever(
    engine: Engine, environment: Environment, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration_sidecar.engine.operations.prewarmed_worker, "TTL_SECONDS", 2.0)
    await get_ready(engine, environment, database)
    await until(lambda: engine.prewarmed_worker._ready is None)
    await until(lambda: not sessions(database))


async def test_a_closed_engine_leaves_nobody_waiting(
    engine: Engine, environment: Environment, database: Database
) -> None:
    await get_ready(engine, environment, database)
    await engine.close()
    await until(lambda: not sessions(database))
