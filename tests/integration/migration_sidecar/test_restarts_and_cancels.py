"""A service that stops leaves its operation to its successor; a person who cancels gets a whole revision."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

import httpx
import psutil
import psycopg
import pytest
from asyncpg import QueryCanceledError

from migration_sidecar.contract.errors import BadRequest
from migration_sidecar.contract.messages import OperationState
from migration_sidecar.engine.engine import Engine
from migration_sidecar.engine.operations import monitor
from migration_sidecar.engine.operations.monitor import WatchResult
from migration_sidecar.protocol.lock_key import lock_key
from scripts.infrastructure import ports
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import StartEngine
from tests.integration.migration_sidecar.environments import (
    LONG_SECONDS,
    Environment,
    applied,
    carry_out,
    ended,
    kinds,
    lock_is_free,
    request,
    rows,
    tables,
    until,
    version,
)
from tests.integration.migration_sidecar.sleepers import SLEEPERS, pid_of_the_sleeper, sleeps_the_first_time, waits

WELL_BEFORE_THE_END_SECONDS = 30.0  # of what takes a minute when nobody ends it
KEY = tuple(lock_key("alembic_version", "").values())


async def test_an_operation_that_a_stopped_service_left_is_ended_by_the_next_one(
    environment: Environment, start_engine: StartEngine, database: Database, tmp_path: Path
) -> None:
    marker = tmp_path / "pid"
    environment.revision("a1")
    environment.revision("a2", sleeps_the_first_time(marker))
    before = start_engine(environment)
    accepted = await before.operations.accept(request())
    await pid_of_the_sleeper(marker, database)
    await before.close()

    after = start_engine(environment, MIGRATE_ON_STARTUP="check")
    await after.startup.run()
    done = await ended(after, accepted.operation_id)
    assert done.state is OperationState.SUCCEEDED
    assert [step.revision for step in done.applied] == ["a1", "a2"]
    assert applied(database) == ["a1", "a2"]
    assert kinds(database, done.operation_id) == [
        *("attempt", "started", "applied"),
        *("resolved", "attempt", "started", "applied"),
    ]


@pytest.mark.parametrize(("prefix", "way"), [("start-up", "start-up"), ("by-hand", "by hand"), ("run-1", "endpoint")])
async def test_a_restart_does_not_forget_how_an_operation_came_in(
    prefix: str, way: str, environment: Environment, start_engine: StartEngine, database: Database, tmp_path: Path
) -> None:
    """Or the audit would call a claim what the operating system or the service itself had said."""
    marker = tmp_path / "pid"
    environment.revision("a1", sleeps_the_first_time(marker))
    before = start_engine(environment)
    accepted = await before.operations.accept(request(operation_id=f"{prefix}-{uuid4()}"), origin=way)
    await pid_of_the_sleeper(marker, database)
    await before.close()

    after = start_engine(environment, MIGRATE_ON_STARTUP="check")
    await after.startup.run()
    await ended(after, accepted.operation_id)
    assert rows(database, "SELECT DISTINCT detail->>'way_in' FROM migration_sidecar.journal") == [(way,)]


@pytest.mark.parametrize(("prefix", "at"), [("run-1", "a2"), ("by-hand", "a1")])
async def test_a_downgrade_that_waited_for_a_restart_is_held_to_what_the_endpoint_takes_then(
    prefix: str, at: str, environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    """A person at the database is not asked: no setting keeps one from it."""
    for revision in ("a1", "a2"):
        environment.revision(revision)
    before = start_engine(environment)
    await carry_out(before)
    with database.connect() as stranger:
        stranger.execute("SELECT pg_advisory_lock(%s, %s)", KEY)
        way = "endpoint" if prefix == "run-1" else "by hand"
        down = request("a1", action="downgrade", operation_id=f"{prefix}-{uuid4()}")
        accepted = await before.operations.accept(down, origin=way)
        await until(partial(waits, before, accepted.operation_id))
        await before.close()
    environment.ini.write_text(environment.ini.read_text().replace("endpoint_downgrades = true", ""))
    after = start_engine(environment, MIGRATE_ON_STARTUP="off")
    await after.startup.run()
    done = await ended(after, accepted.operation_id)
    assert (done.state is OperationState.FAILED) == (at == "a2")
    assert version(database) == [at]
    if at == "a2":
        assert done.error is not None
        assert done.error.code == "CM-206"


@pytest.mark.parametrize("prefix", ["start-up", "by-hand", "adopt"])
async def test_nobody_at_the_endpoint_passes_for_the_service_or_for_a_person_at_the_database(
    prefix: str, engine: Engine, environment: Environment
) -> None:
    environment.revision("a1")
    with pytest.raises(BadRequest):
        await engine.operations.accept(request(operation_id=f"{prefix}-{uuid4()}"))
    assert (await carry_out(engine, operation_id=f"{prefix}-.orders.1")).state is OperationState.SUCCEEDED


async def test_a_service_that_stops_between_two_attempts_goes_on_counting_where_it_was(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    environment.revision("a1", 'op.execute("CREATE TABLE orders (id int)")')
    before = start_engine(environment)
    await carry_out(before)
    environment.revision("a2", 'op.execute("ALTER TABLE orders ADD COLUMN note text")')
    with closing(psycopg.connect(database.url)) as holder:
        holder.execute("SELECT count(*) FROM orders")
        accepted = await before.operations.accept(request())
        await until(lambda: kinds(database, accepted.operation_id)[-1:] == ["failed"])
        await before.close()
        holder.rollback()
    after = start_engine(environment, MIGRATE_ON_STARTUP="check")
    await after.startup.run()
    done = await ended(after, accepted.operation_id)
    assert done.state is OperationState.SUCCEEDED
    attempts = rows(
        database,
        "SELECT attempt FROM migration_sidecar.journal WHERE operation_id = %s AND kind = 'attempt' ORDER BY seq",
        done.operation_id,
    )
    assert attempts == [(number,) for number in range(1, len(attempts) + 1)]
    assert done.attempts == len(attempts) > 1


async def test_a_restart_does_not_begin_the_deadline_anew(
    environment: Environment, start_engine: StartEngine, database: Database, tmp_path: Path
) -> None:
    marker = tmp_path / "pid"
    environment.revision("a1")
    environment.revision("a2", sleeps_the_first_time(marker))
    before = start_engine(environment)
    accepted = await before.operations.accept(request(deadline_seconds=600))
    await pid_of_the_sleeper(marker, database)
    await before.close()
    rows_of_an_hour_ago(database)
    after = start_engine(environment, MIGRATE_ON_STARTUP="check")
    await after.startup.run()
    late = await ended(after, accepted.operation_id)
    assert late.state is OperationState.FAILED
    assert late.error is not None
    assert (late.error.code, late.current_revisions) == ("CM-403", ["a1"])
    assert kinds(database, accepted.operation_id) == ["attempt", "started", "applied", "resolved"]


def rows_of_an_hour_ago(database: Database) -> None:
    with database.connect() as connection:
        connection.execute("UPDATE migration_sidecar.journal SET at = at - interval '1 hour'")


async def test_an_operation_that_was_done_when_the_service_stopped_is_only_read_back(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    """Between the last COMMIT and the stored outcome."""
    environment.revision("a1")
    before = start_engine(environment)
    done = await carry_out(before)
    await before.close()
    with database.connect() as connection:
        connection.execute(
            "UPDATE migration_sidecar.operations SET state = 'accepted', record = record || %s",
            [psycopg.types.json.Jsonb({"state": "accepted", "finished_at": None, "applied": [], "attempts": 0})],
        )
    after = start_engine(environment, MIGRATE_ON_STARTUP="check")
    await after.startup.run()
    again = await ended(after, done.operation_id)
    assert again.state is OperationState.SUCCEEDED
    assert (again.applied, again.attempts) == (done.applied, 1)
    assert kinds(database, done.operation_id).count("attempt") == 1


async def test_cancelling_in_mid_revision_stops_at_the_revision_before(
    engine: Engine, environment: Environment, database: Database, tmp_path: Path
) -> None:
    marker = tmp_path / "pid"
    environment.revision("a1")
    environment.revision("a2", sleeps_the_first_time(marker))
    accepted = await engine.operations.accept(request())
    await pid_of_the_sleeper(marker, database)
    begun = monotonic()
    cancelled = await engine.operations.cancel(accepted.operation_id)
    assert cancelled.state is OperationState.CANCELLED
    assert monotonic() - begun < WELL_BEFORE_THE_END_SECONDS
    assert cancelled.error is not None
    assert (cancelled.error.code, cancelled.error.service) == ("CM-408", "orders")
    assert version(database) == cancelled.current_revisions == ["a1"]
    assert tables(database) == {"t_a1"}
    assert lock_is_free(database)
    assert kinds(database, accepted.operation_id) == ["attempt", "started", "applied", "cancelled"]
    assert (await carry_out(engine)).state is OperationState.SUCCEEDED
    assert applied(database) == ["a1", "a2"]


async def test_cancelling_at_once_finds_the_process_on_its_way(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    environment.revision("a1", 'op.execute("SELECT pg_sleep(60)")')
    engine = start_engine(environment)
    await engine.reader.status()  # the files are known, so the attempt begins at once
    for pause in (0, 0.01, 0.03, 0.06, 0.1, 0.2):
        accepted = await engine.operations.accept(request())
        await asyncio.sleep(pause)
        assert (await engine.operations.cancel(accepted.operation_id)).state is OperationState.CANCELLED
    assert lock_is_free(database)


async def test_cancelling_before_the_process_is_there_is_not_forgotten(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    """What forks processes takes a second to start, and the cancellation comes meanwhile."""
    environment.revision("a1", 'op.execute("SELECT pg_sleep(60)")')
    engine = start_engine(environment, own_processes=True)
    await engine.reader.status()
    engine.forkserver.stop()
    accepted = await engine.operations.accept(request())
    await until(partial(is_running, engine, accepted.operation_id))
    cancelled = await engine.operations.cancel(accepted.operation_id)
    assert cancelled.state is OperationState.CANCELLED
    assert lock_is_free(database)


async def is_running(engine: Engine, operation_id: str) -> bool:
    return (await engine.operations.find(operation_id)).state is OperationState.RUNNING


async def test_cancelling_while_the_lock_is_a_strangers_does_not_wait_for_the_stranger(
    engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    with closing(psycopg.connect(database.url, autocommit=True)) as stranger:
        stranger.execute("SELECT pg_advisory_lock(%s, %s)", KEY)
        accepted = await engine.operations.accept(request())
        await until(partial(waits, engine, accepted.operation_id))
        cancelled = await engine.operations.cancel(accepted.operation_id)  # the stranger keeps the lock
        assert cancelled.state is OperationState.CANCELLED


async def test_one_look_that_fails_does_not_lose_the_wish_to_cancel_of_another_replica(
    environment: Environment, start_engine: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A role's own statement_timeout may end any question; the watch goes on."""
    environment.revision("a1", 'op.execute("SELECT pg_sleep(60)")')
    looked, watch = [], monitor.poll

    async def look(*arguments: Any) -> WatchResult:
        looked.append(arguments)
        if len(looked) == 1:
            raise QueryCanceledError("canceling statement due to statement timeout")
        return await watch(*arguments)

    monkeypatch.setattr(monitor, "poll", look)
    driving, other = start_engine(environment), start_engine(environment)
    accepted = await driving.operations.accept(request())
    await until(lambda: looked)
    assert (await other.operations.cancel(accepted.operation_id)).state is OperationState.CANCELLED


async def test_cancelling_what_has_ended_changes_nothing(
    engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    done = await carry_out(engine)
    assert await engine.operations.cancel(done.operation_id) == done


def served(environment: Environment, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "from migration_sidecar.cli import main; main()", "serve", "--port", str(port)]
    return subprocess.Popen(
        [*command, "--config", str(environment.ini)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


OPERATIONS = """SELECT operation_id FROM migration_sidecar.operations
                UNION SELECT operation_id FROM migration_sidecar.journal"""


async def is_ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/readyz")).status_code == 200
    except httpx.HTTPError:
        return False


async def test_a_killed_service_takes_its_migration_along_and_its_successor_ends_it(
    environment: Environment, database: Database, tmp_path: Path
) -> None:
    """The real server, killed as the platform does it; start-up's own operation is the one that goes on."""
    marker = tmp_path / "pid"
    environment.revision("a1")
    environment.revision("a2", sleeps_the_first_time(marker))
    (port,) = ports.choose(1)
    with served(environment, port) as first:
        migration = await pid_of_the_sleeper(marker, database)
        first.kill()
    await until(lambda: not psutil.pid_exists(migration))
    await until(lambda: not rows(database, SLEEPERS))
    with served(environment, port) as second:
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
                await until(partial(is_ready, client), within=LONG_SECONDS)
                (operation,) = {name for (name,) in rows(database, OPERATIONS)}
                answer = await client.get(f"/migrations/operations/{operation}", params={"wait_seconds": 20})
        finally:
            second.terminate()
    assert answer.json()["state"] == "succeeded"
    assert [step["revision"] for step in answer.json()["applied"]] == ["a1", "a2"]
