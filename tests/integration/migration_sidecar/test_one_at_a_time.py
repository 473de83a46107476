"""However many start at once, one migrates at a time and the others find it done."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from contextlib import closing
from functools import partial
from pathlib import Path

import psycopg
import pytest

from migration_sidecar.contract.messages import DatabaseState, OperationState
from migration_sidecar.engine.engine import Engine
from migration_sidecar.protocol.lock_key import lock_key
from migration_sidecar.protocol.version_table import VersionTable
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import StartEngine
from tests.integration.migration_sidecar.environments import (
    Environment,
    applied,
    carry_out,
    ended,
    kinds,
    lock_is_free,
    request,
    rows,
    until,
    version,
)
from tests.integration.migration_sidecar.sleepers import held_up, waits

KEY = tuple(lock_key(VersionTable().name, VersionTable().schema).values())

# Tries a lock of its own while it runs: two revisions at once would be refused it.
WITNESSED = """
import time
free = op.get_bind().exec_driver_sql("SELECT pg_try_advisory_xact_lock(4711)").scalar()
op.execute(f"CREATE TABLE t_{revision} (id int)")
op.execute("CREATE TABLE IF NOT EXISTS witness (overlap boolean)")
op.execute(f"INSERT INTO witness VALUES ({not free})")
time.sleep(0.1)
"""


@pytest.mark.parametrize("existing", [False, True], ids=["fresh", "existing"])
async def test_ten_replicas_that_start_at_once_all_succeed_and_apply_each_revision_once(
    existing: bool, environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    environment.revision("a1", WITNESSED)
    if existing:
        await carry_out(start_engine(environment))
    for name in ("a2", "a3", "a4"):
        environment.revision(name, WITNESSED)
    engines = [start_engine(environment) for _ in range(10)]
    operations = await asyncio.gather(*(carry_out(engine, target="heads") for engine in engines))
    assert Counter(operation.state for operation in operations) == {OperationState.SUCCEEDED: 10}
    assert applied(database) == ["a1", "a2", "a3", "a4"]
    assert version(database) == ["a4"]
    assert rows(database, "SELECT overlap, count(*)::int FROM witness GROUP BY 1") == [(False, 4)]
    assert lock_is_free(database)


async def is_ready(engine: Engine) -> bool:
    return (await engine.startup.readiness())[0]


def upgrade_in_a_process(ini: Path) -> int:
    command = [sys.executable, "-c", "from migration_sidecar.cli import main; main()", "upgrade", "-c", str(ini)]
    return subprocess.run(command, stdout=subprocess.DEVNULL, timeout=60, check=False).returncode


async def test_ten_start_ups_at_once_leave_a_database_at_head(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    for name in ("a1", "a2"):
        environment.revision(name, WITNESSED)
    engines = [start_engine(environment) for _ in range(10)]
    await asyncio.gather(*(engine.startup.run() for engine in engines))
    for engine in engines:
        await until(partial(is_ready, engine))
    assert applied(database) == ["a1", "a2"]


async def test_processes_of_their_own_take_turns_too(environment: Environment, database: Database) -> None:
    for name in ("a1", "a2", "a3"):
        environment.revision(name, WITNESSED)
    codes = await asyncio.gather(*(asyncio.to_thread(upgrade_in_a_process, environment.ini) for _ in range(2)))
    assert codes == [0, 0]
    assert applied(database) == ["a1", "a2", "a3"]
    assert rows(database, "SELECT overlap, count(*)::int FROM witness GROUP BY 1") == [(False, 3)]


async def test_a_stranger_who_holds_the_lock_is_waited_for_and_named(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    environment.revision("a1")
    engine = start_engine(environment)
    with closing(psycopg.connect(database.url, autocommit=True, application_name="nightly report")) as stranger:
        stranger.execute("SELECT pg_advisory_lock(%s, %s)", KEY)
        accepted = await engine.operations.accept(request())
        waiting = await until(partial(waits, engine, accepted.operation_id))
        assert f"pid {stranger.info.backend_pid} (nightly report)" in (waiting.waiting_for or "")
        status = await engine.reader.status()
        assert status.state is DatabaseState.MIGRATING
        assert status.lock_holder is not None
        assert status.lock_holder.pid == stranger.info.backend_pid
        assert waiting.state is OperationState.RUNNING

        # Building an index waits for every older snapshot: a waiter that blocked would deadlock with it.
        stranger.execute("CREATE TABLE busy (id int)")
        await asyncio.to_thread(stranger.execute, "CREATE INDEX CONCURRENTLY ix_busy ON busy (id)")
        stranger.execute("DROP TABLE busy")
        stranger.execute("SELECT pg_advisory_unlock(%s, %s)", KEY)
        done = await ended(engine, accepted.operation_id)
    assert (done.state, done.attempts, done.waiting_for) == (OperationState.SUCCEEDED, 1, None)


async def test_a_lock_that_never_comes_free_ends_the_operation_at_its_deadline(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    environment.revision("a1")
    with closing(psycopg.connect(database.url, autocommit=True)) as stranger:
        stranger.execute("SELECT pg_advisory_lock(%s, %s)", KEY)
        operation = await carry_out(start_engine(environment), deadline_seconds=1)
    assert operation.state is OperationState.FAILED
    assert operation.error is not None
    assert operation.error.code in ("CM-403", "CM-404")
    assert rows(database, "SELECT to_regclass('t_a1')") == [(None,)]


async def test_a_second_replica_leaves_a_running_operation_to_the_first(
    environment: Environment, start_engine: StartEngine, database: Database, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    environment.revision("a1", held_up(go))
    first, second = start_engine(environment), start_engine(environment, MIGRATE_ON_STARTUP="check")
    accepted = await first.operations.accept(request())
    await until(lambda: not lock_is_free(database))
    await second.startup.run()
    assert not (await second.operations.find(accepted.operation_id, wait_seconds=0.1)).state.ended
    go.touch()
    assert (await ended(first, accepted.operation_id)).state is OperationState.SUCCEEDED
    assert (await ended(second, accepted.operation_id)).state is OperationState.SUCCEEDED
    assert kinds(database, accepted.operation_id) == ["attempt", "started", "applied"]


async def test_operations_of_one_service_are_carried_out_in_the_order_they_were_accepted(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    for name in ("a1", "a2", "a3"):
        environment.revision(name)
    engine = start_engine(environment)
    targets = ("a1", "a2", "a3")
    accepted = [await engine.operations.accept(request(target)) for target in targets]
    finished = [await ended(engine, each.operation_id) for each in accepted]
    assert [[step.revision for step in each.applied] for each in finished] == [["a1"], ["a2"], ["a3"]]
