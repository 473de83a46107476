"""A server that takes no writes is left alone before anything is tried, and named for what it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from migration_sidecar.contract.errors import DatabaseUnreachable
from migration_sidecar.contract.messages import Action, DatabaseState, OperationState
from migration_sidecar.engine.engine import Engine
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import MakeEnvironment, StartEngine
from tests.integration.migration_sidecar.environments import (
    Environment,
    carry_out,
    lock_is_free,
    request,
    version,
)
from tests.integration.migration_sidecar.troubled_servers import database_of, running, server_in, standby_of


@pytest.fixture
def moved(tmp_path: Path, make_environment: MakeEnvironment, start_engine: StartEngine) -> Iterator[Environment]:
    """Migrated on a primary; then its address leads to a hot standby, which is one revision behind the files."""
    primary = server_in(tmp_path / "primary")
    with running(primary):
        environment = make_environment(url=database_of(primary).url)
        environment.revision("a1")
        with primary.address.connect() as connection:
            connection.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
            connection.execute("INSERT INTO alembic_version VALUES ('a1')")
    environment.revision("a2")
    standby = replace(standby_of(primary, tmp_path / "standby"), address=primary.address)
    with running(standby):
        yield environment


async def recovering(url: str) -> bool:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        return await (await connection.execute("SELECT pg_is_in_recovery()")).fetchone() == (True,)


async def refused(engine: Engine) -> None:
    plan = await engine.reader.plan(Action.UPGRADE, "head")
    assert "CM-521" in [each.code for each in plan.obstacles]
    with pytest.raises(DatabaseUnreachable) as accepted:
        await engine.operations.accept(request())
    problem = accepted.value.problem
    assert (problem.code, problem.retryable) == ("CM-521", True)


async def test_a_hot_standby_is_recognised_and_its_status_still_told(
    moved: Environment, start_engine: StartEngine
) -> None:
    engine = start_engine(moved)
    assert await recovering(moved.url)
    status = await engine.reader.status()
    assert (status.state, status.current_revisions, status.pending) == (DatabaseState.BEHIND, ["a1"], ["a2"])
    await refused(engine)


async def test_a_service_that_starts_beside_a_standby_waits_and_does_not_fall(
    moved: Environment, start_engine: StartEngine
) -> None:
    engine = start_engine(moved)
    ready, reason = await engine.startup.readiness()
    assert not ready
    assert reason


async def test_a_database_that_is_set_to_read_only_is_refused_and_then_migrated(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    environment.revision("a1")
    await carry_out(start_engine(environment))
    environment.revision("a2")
    with database.connect() as connection:
        connection.execute(f"ALTER DATABASE {database.name} SET default_transaction_read_only = on")  # type: ignore[arg-type]
    await refused(start_engine(environment))
    with database.connect() as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(f"ALTER DATABASE {database.name} RESET default_transaction_read_only")  # type: ignore[arg-type]
    operation = await carry_out(start_engine(environment))
    assert operation.state is OperationState.SUCCEEDED
    assert version(database) == ["a2"]
    assert lock_is_free(database)
