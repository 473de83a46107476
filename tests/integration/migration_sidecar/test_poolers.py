"""Behind a pooler in transaction mode a lock protects nothing, so nothing is begun there."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from migration_sidecar.contract.messages import Action, OperationState
from migration_sidecar.engine.engine import Engine
from scripts.infrastructure.postgres import PostgresServer
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import MakeEnvironment, StartEngine
from tests.integration.migration_sidecar.environments import Environment, carry_out, rows
from tests.integration.migration_sidecar.pooling_proxy import PoolingProxy, pooling_proxy
from tests.integration.migration_sidecar.troubled_servers import database_of, running, server_in

OUR_ENV = "from migration_sidecar.environment import run\n\nrun(None)\n"


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A server that asks nobody for a password, so that a pooler can log in for its clients."""
    with running(server_in(tmp_path_factory.mktemp("trusting"))) as server:
        (server.data / "pg_hba.conf").write_text("host all all 127.0.0.1/32 trust\n")
        with server.address.connect() as connection:
            connection.execute("SELECT pg_reload_conf()")
        yield server


@pytest.fixture
async def pooler(trusting: PostgresServer) -> AsyncIterator[PoolingProxy]:
    async with pooling_proxy(trusting.address.host, trusting.address.port) as proxy:
        yield proxy


@pytest.fixture(params=["generic", "async"])
def pooled(
    request: pytest.FixtureRequest, make_environment: MakeEnvironment, trusting: PostgresServer, pooler: PoolingProxy
) -> Environment:
    url = database_of(trusting).async_url if request.param == "async" else database_of(trusting).url
    environment = make_environment(request.param, url=pooler.url(url))
    environment.revision("a1")
    return environment


async def one(connection: psycopg.AsyncConnection[tuple[int]], query: str) -> int:
    row = await (await connection.execute(query)).fetchone()
    assert row is not None
    return row[0]


async def test_the_double_changes_sessions_between_transactions_as_a_pooler_does(
    pooler: PoolingProxy, trusting: PostgresServer
) -> None:
    """Measured on PgBouncer 1.18: an advisory lock stays behind, and another client is granted it again."""
    url = pooler.url(database_of(trusting).url)
    pid, lock = "SELECT pg_backend_pid()", "SELECT pg_try_advisory_lock(1, 2)::int"
    first = await psycopg.AsyncConnection[tuple[int]].connect(url, autocommit=True)
    second = await psycopg.AsyncConnection[tuple[int]].connect(url, autocommit=True)
    before = await one(first, pid)
    assert await one(second, pid) == before != first.info.backend_pid
    async with second.transaction():
        assert await one(second, pid) == before
        assert await one(first, pid) != before
        assert await one(second, pid) == before
    await one(second, pid)
    assert await one(first, lock) == 1
    assert await one(second, lock) == 1
    await first.close()
    assert await one(second, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") > 0
    await second.close()


async def test_a_pooler_is_noticed_before_the_lock_is_taken(
    pooled: Environment, start_engine: StartEngine, trusting: PostgresServer
) -> None:
    engine: Engine = start_engine(pooled)
    plan = await engine.reader.plan(Action.UPGRADE, "head")
    assert "CM-541" in [each.code for each in plan.obstacles]
    operation = await carry_out(engine)
    assert operation.state is OperationState.FAILED
    assert operation.error is not None
    assert operation.error.code == "CM-541"
    assert "direct connection" in operation.error.next_step
    database = database_of(trusting)
    assert rows(database, "SELECT to_regclass('t_a1'), to_regclass('alembic_version')") == [(None, None)]
    assert not rows(database, "SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 19785")


async def test_a_pooler_may_answer_from_another_session_each_time(
    pooled: Environment, start_engine: StartEngine, pooler: PoolingProxy, trusting: PostgresServer
) -> None:
    """A statement that was kept in one of them would not be known in the next."""
    engine: Engine = start_engine(pooled)
    url = pooler.url(database_of(trusting).url)
    await engine.reader.plan(Action.UPGRADE, "head")
    async with await psycopg.AsyncConnection[tuple[int]].connect(url) as other, other.transaction():
        await one(other, "SELECT 1")
        plan = await engine.reader.plan(Action.UPGRADE, "head")
    assert "CM-541" in [each.code for each in plan.obstacles]


async def test_alembic_by_hand_is_refused_behind_a_pooler_too(
    pooled: Environment, trusting: PostgresServer, database: Database
) -> None:
    (pooled.folder / "alembic" / "env.py").write_text(OUR_ENV)
    done = await asyncio.to_thread(alembic, pooled.folder)
    assert done.returncode != 0
    assert "CM-541" in done.stdout + done.stderr
    assert rows(database_of(trusting), "SELECT to_regclass('t_a1')") == [(None,)]


def alembic(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "alembic", "upgrade", "head"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
