"""A process that ends without a word, in whatever way, never counts as success."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from time import monotonic

import pytest

import migration_sidecar.engine.operations.session_end
from migration_sidecar.contract.errors import WorkerUnavailable
from migration_sidecar.contract.messages import OperationState
from migration_sidecar.engine.engine import Engine
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import StartEngine
from tests.integration.migration_sidecar.environments import (
    Environment,
    applied,
    carry_out,
    ended,
    lock_is_free,
    request,
    rows,
    tables,
    until,
    version,
)
from tests.integration.migration_sidecar.sleepers import SLEEPERS, pid_of_the_sleeper, sleeps_the_first_time

WELL_BEFORE_THE_END_SECONDS = 30.0  # of what takes a minute when nobody ends it


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


async def test_a_killed_migration_is_carried_out_again_by_itself(
    engine: Engine, environment: Environment, database: Database, tmp_path: Path
) -> None:
    marker = tmp_path / "pid"
    environment.revision("a1")
    environment.revision("a2", sleeps_the_first_time(marker))
    accepted = await engine.operations.accept(request())
    os.kill(await pid_of_the_sleeper(marker, database), signal.SIGKILL)
    await until(lambda: not rows(database, SLEEPERS), within=WELL_BEFORE_THE_END_SECONDS)
    done = await ended(engine, accepted.operation_id)
    assert (done.state, done.attempts) == (OperationState.SUCCEEDED, 2)
    assert applied(database) == ["a1", "a2"]
    assert lock_is_free(database)


async def test_a_session_that_outlives_its_process_and_keeps_the_lock_is_a_persons_case(
    environment: Environment, start_engine: StartEngine, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever tried again would wait for it, and whoever called it failed would not know what it still does."""
    environment.ini.write_text(environment.ini.read_text() + "client_connection_check_interval = 60s\n")
    environment.revision("a1", HIDES)
    monkeypatch.setattr(migration_sidecar.engine.operations.session_end, "SESSION_END_SECONDS", 1.0)
    engine = start_engine(environment)
    accepted = await engine.operations.accept(request())
    ((session,),) = await until(lambda: rows(database, SLEEPERS))
    os.kill(int(await until(lambda: process_id(database))), signal.SIGKILL)
    operation = await ended(engine, accepted.operation_id)
    assert (operation.state, operation.attempts) == (OperationState.NEEDS_ATTENTION, 1)
    assert operation.error is not None
    assert operation.error.code == "CM-404"
    assert f"pid {session}" in operation.error.detail


HIDES = """
import os
op.execute(f"SET application_name = 'nobody {os.getpid()}'")
op.execute("SELECT pg_sleep(60)")
"""


def process_id(database: Database) -> str | None:
    named = "SELECT split_part(application_name, ' ', 2) FROM pg_stat_activity WHERE application_name LIKE 'nobody %'"
    return next((number for (number,) in rows(database, named)), None)


async def test_the_death_of_the_process_that_forks_migrations_is_survived(
    environment: Environment, start_engine: StartEngine, database: Database, tmp_path: Path
) -> None:
    marker = tmp_path / "pid"
    environment.revision("a1")
    environment.revision("a2", sleeps_the_first_time(marker))
    engine = start_engine(environment, own_processes=True)
    accepted = await engine.operations.accept(request())
    os.kill(parent_of(await pid_of_the_sleeper(marker, database)), signal.SIGKILL)
    done = await ended(engine, accepted.operation_id)
    assert (done.state, done.attempts) == (OperationState.SUCCEEDED, 2)
    assert applied(database) == ["a1", "a2"]


@pytest.mark.parametrize("ending", ["raise SystemExit(0)", "raise KeyboardInterrupt", "raise BaseException('no')"])
async def test_a_revision_that_raises_what_nobody_catches_is_a_failed_revision(
    ending: str, engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    environment.revision("a2", f'op.execute("CREATE TABLE t_a2 (id int)")\n{ending}')
    operation = await carry_out(engine)
    assert operation.state is OperationState.FAILED
    assert operation.error is not None
    assert (operation.error.code, operation.error.revision) == ("CM-401", "a2")
    assert version(database) == operation.current_revisions == ["a1"]
    assert tables(database) == {"t_a1"}


@pytest.mark.parametrize(
    "endless",
    [
        "while True: pass",
        'op.execute("SELECT pg_sleep(60)")',
        "import time; time.sleep(60)",
    ],
)
async def test_a_revision_that_never_ends_is_ended_at_the_deadline(
    endless: str, engine: Engine, environment: Environment, database: Database
) -> None:
    environment.revision("a1")
    environment.revision("a2", f'op.execute("CREATE TABLE t_a2 (id int)")\n{endless}')
    await carry_out(engine, target="a1")
    begun = monotonic()
    operation = await carry_out(engine, deadline_seconds=1)
    assert operation.state is OperationState.FAILED
    assert operation.error is not None
    assert operation.error.code == "CM-403"
    assert monotonic() - begun < WELL_BEFORE_THE_END_SECONDS
    assert version(database) == operation.current_revisions == ["a1"]
    assert tables(database) == {"t_a1"}
    assert lock_is_free(database)
    await until(lambda: not rows(database, SLEEPERS), within=WELL_BEFORE_THE_END_SECONDS)


async def test_a_service_that_can_start_no_process_says_so_and_still_tells_its_status(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    environment.revision("a1")
    await carry_out(start_engine(environment))
    engine = start_engine(environment, own_processes=True)
    engine.forkserver.python = "/bin/false"
    status = await engine.reader.status()
    assert status.current_revisions == ["a1"]
    assert status.error is not None
    assert (status.error.code, status.error.retryable) == ("CM-409", True)
    with pytest.raises(WorkerUnavailable):
        await engine.operations.accept(request())


async def test_a_process_that_cannot_be_started_any_more_ends_the_operation_with_a_reason(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    environment.revision("a1")
    engine = start_engine(environment, own_processes=True)
    await engine.reader.status()  # the files are known; what follows needs another process
    engine.forkserver.stop()
    engine.forkserver.python = "/bin/false"
    operation = await carry_out(engine)
    assert operation.state is OperationState.FAILED
    assert operation.error is not None
    assert (operation.error.code, operation.error.service) == ("CM-409", "orders")
    assert rows(database, "SELECT to_regclass('t_a1')") == [(None,)]
