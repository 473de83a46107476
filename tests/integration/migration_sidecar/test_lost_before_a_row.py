"""An attempt that was lost before its row was written is told from one that lives, also while others hold the lock."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

import migration_sidecar.engine.operations.session_end as session_end
from migration_sidecar.contract.errors import LockBusy
from migration_sidecar.contract.messages import Operation, OperationState
from migration_sidecar.engine.engine import Engine
from migration_sidecar.engine.operations.execution import OperationExecution
from migration_sidecar.engine.operations.session_end import UnclearEnd, without_further_effect
from migration_sidecar.forkserver.client import WorkerProcess
from migration_sidecar.protocol.attempt import session_name
from migration_sidecar.protocol.lock_key import lock_key
from migration_sidecar.protocol.orders import OrdersMessage
from migration_sidecar.protocol.origin import Origin
from migration_sidecar.protocol.reports import Report
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
)
from tests.integration.migration_sidecar.sleepers import held_up

KEY = tuple(lock_key(VersionTable().name, VersionTable().schema).values())


@pytest.fixture
async def migrated(engine: Engine, environment: Environment, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """At its first revision, with a second one to come; nobody waits for a session for longer than a second."""
    environment.revision("a1")
    await carry_out(engine)
    environment.revision("a2")
    monkeypatch.setattr(session_end, "SESSION_END_SECONDS", 1.0)
    return engine


@contextmanager
def a_stranger_with_the_lock(database: Database) -> Iterator[psycopg.Connection]:
    with closing(psycopg.connect(database.url, autocommit=True)) as stranger:
        stranger.execute("SELECT pg_advisory_lock(%s, %s)", KEY)
        yield stranger


async def ends_well_when_the_lock_is_free(engine: Engine, operation_id: str, stranger: psycopg.Connection) -> None:
    """The lost attempt is closed and the next one waits for the stranger."""
    await until(lambda: kinds_of_attempts(stranger, operation_id).count("attempt") == 1)
    stranger.execute("SELECT pg_advisory_unlock(%s, %s)", KEY)
    done = await ended(engine, operation_id)
    assert (done.state, done.attempts, done.error) == (OperationState.SUCCEEDED, 2, None)


def kinds_of_attempts(connection: psycopg.Connection, operation_id: str) -> list[str]:
    query = "SELECT kind FROM migration_sidecar.journal WHERE operation_id = %s AND attempt = 2"
    return [kind for (kind,) in connection.execute(query, (operation_id,)).fetchall()]


def once(act: Callable[[WorkerProcess], Awaitable[None]]) -> Callable[[WorkerProcess], Awaitable[None]]:
    acted: list[WorkerProcess] = []

    async def act_once(process: WorkerProcess) -> None:
        if not acted:
            acted.append(process)
            await act(process)

    return act_once


async def test_a_process_that_is_killed_before_it_had_a_session_did_nothing(
    migrated: Engine, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = 0
    send = WorkerProcess.send_orders

    async def send_and_kill(process: WorkerProcess, orders: OrdersMessage) -> None:
        nonlocal killed
        killed += 1
        if killed > 2:  # an attempt without a session has two processes
            return await send(process, orders)
        assert process._handle is not None
        signal.pidfd_send_signal(process._handle, signal.SIGSTOP)  # it never reads its orders
        await send(process, orders)
        return await process.kill()

    monkeypatch.setattr(WorkerProcess, "send_orders", send_and_kill)
    with a_stranger_with_the_lock(database) as stranger:
        accepted = await migrated.operations.accept(request())
        await ends_well_when_the_lock_is_free(migrated, accepted.operation_id, stranger)
    assert applied(database) == ["a1", "a2"]


async def test_an_operation_whose_deadline_passes_before_it_had_a_session_is_failed(
    migrated: Engine, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine the whole deadline may pass before the process has read its orders."""
    send = WorkerProcess.send_orders

    async def send_to_a_stopped_one(process: WorkerProcess, orders: OrdersMessage) -> None:
        assert process._handle is not None
        signal.pidfd_send_signal(process._handle, signal.SIGSTOP)
        await send(process, orders)

    monkeypatch.setattr(WorkerProcess, "send_orders", send_to_a_stopped_one)
    with a_stranger_with_the_lock(database):
        operation = await carry_out(migrated, deadline_seconds=1)
    assert operation.error is not None
    assert (operation.state, operation.error.code) == (OperationState.FAILED, "CM-403")
    assert applied(database) == ["a1"]


async def test_a_process_that_is_killed_while_it_writes_its_row_did_nothing_once_its_session_is_gone(
    migrated: Engine, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        a_stranger_with_the_lock(database) as stranger,
        closing(psycopg.connect(database.url)) as in_the_way,
    ):
        in_the_way.execute("LOCK TABLE migration_sidecar.journal IN SHARE MODE")

        @once
        async def kill(process: WorkerProcess) -> None:
            await process.kill()
            in_the_way.rollback()

        reports = WorkerProcess.reports

        async def killed_with_its_session(process: WorkerProcess) -> AsyncGenerator[Report, None]:
            async for report in reports(process):
                yield report
                if report["event"] == "session":
                    await kill(process)

        monkeypatch.setattr(WorkerProcess, "reports", killed_with_its_session)
        accepted = await migrated.operations.accept(request())
        await ends_well_when_the_lock_is_free(migrated, accepted.operation_id, stranger)
    assert kinds(database, accepted.operation_id)[0] == "failed"  # of the first attempt there is no other row


async def test_an_attempt_that_goes_on_after_its_service_lost_the_claim_is_waited_for(
    environment: Environment,
    start_engine: StartEngine,
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An idle session is cut by firewalls and by idle_session_timeout, while the migration's own is busy."""
    monkeypatch.setattr(session_end, "SESSION_END_SECONDS", 0.5)
    go = tmp_path / "go"
    environment.revision("a1", held_up(go))
    first, second = start_engine(environment), start_engine(environment)
    wanted = request()
    await first.operations.accept(wanted)
    await until(lambda: not lock_is_free(database))
    await second.operations.accept(wanted)
    end_claim = """SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = 19786
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
    rows(database, end_claim)
    claimed_again = end_claim.replace("pg_terminate_backend(pid)", "pid")
    await until(lambda: rows(database, claimed_again))
    await asyncio.sleep(2.0)  # four times as long as it waits for a session that is to end
    waiting = await second.operations.find(wanted.operation_id)
    assert not waiting.state.ended
    assert waiting.waiting_for is not None
    assert waiting.waiting_for.startswith("Attempt 1 of another process is still at work")
    go.touch()
    for engine in (first, second):
        assert (await ended(engine, wanted.operation_id)).state is OperationState.SUCCEEDED
    assert applied(database) == ["a1"]


@pytest.fixture
async def former(migrated: Engine, database: Database) -> Operation:
    """An operation with an attempt that another service made, and whose row is there."""
    record = (await migrated.reader.status()).last_outcome
    assert record is not None
    return record


def own_row(connection: psycopg.Connection, operation_id: str) -> None:
    connection.execute(
        """UPDATE migration_sidecar.journal SET at = clock_timestamp(),
             detail = detail || jsonb_build_object('pid', pg_backend_pid()) WHERE kind = 'attempt'"""
    )
    connection.execute("SELECT set_config('application_name', %s, false)", (session_name(operation_id),))


async def read_back(engine: Engine, execution: OperationExecution, unclear: UnclearEnd) -> None:
    tables = await engine.target_database.all_records()
    async with (
        engine.database.connection() as connection,
        without_further_effect(connection, tables, execution, unclear),
    ):
        pass


async def test_the_session_of_a_former_attempt_is_ended_when_the_operation_is_cancelled(
    migrated: Engine, former: Operation, database: Database
) -> None:
    with a_stranger_with_the_lock(database) as worker:
        own_row(worker, former.operation_id)
        execution = OperationExecution(request(operation_id=former.operation_id), former, Origin.ENDPOINT)
        reading = asyncio.create_task(read_back(migrated, execution, UnclearEnd(1)))
        await asyncio.sleep(1.5)
        assert not reading.done()
        execution.cancelled.set()
        await reading
        with pytest.raises(psycopg.OperationalError):
            worker.execute("SELECT")


async def test_a_second_session_of_a_former_attempt_is_known_by_its_name_before_its_row_is_committed(
    migrated: Engine, former: Operation, database: Database
) -> None:
    """The row says of another session that it is gone; this one may still commit."""
    with a_stranger_with_the_lock(database) as worker:
        worker.execute("SELECT set_config('application_name', %s, false)", (session_name(former.operation_id),))
        execution = OperationExecution(request(operation_id=former.operation_id), former, Origin.ENDPOINT)
        reading = asyncio.create_task(read_back(migrated, execution, UnclearEnd(1)))
        await asyncio.sleep(0.5)
        assert not reading.done()
    await reading


async def test_nothing_is_concluded_about_an_attempt_of_which_neither_row_nor_report_is_known(
    migrated: Engine, former: Operation, database: Database
) -> None:
    execution = OperationExecution(request(operation_id=former.operation_id), former, Origin.ENDPOINT)
    execution.cancelled.set()
    with a_stranger_with_the_lock(database), pytest.raises(LockBusy):
        await read_back(migrated, execution, UnclearEnd(2))


async def test_a_role_without_rights_sees_that_a_session_of_another_role_lives(
    migrated: Engine, former: Operation, database: Database
) -> None:
    with database.connect() as worker:
        own_row(worker, former.operation_id)
        pid = worker.info.backend_pid
        async with migrated.database.connection() as connection:
            await connection.execute("CREATE ROLE sees_little")
            await connection.execute("GRANT USAGE ON SCHEMA migration_sidecar TO sees_little")
            await connection.execute("GRANT SELECT ON migration_sidecar.journal TO sees_little")
            await connection.execute("SET ROLE sees_little")
            try:
                (tables,) = await migrated.target_database.all_records()
                live = await tables.journal.live_sessions(connection, former.operation_id, 1)
                by_name = await tables.journal.live_sessions(connection, former.operation_id, 2, ())
            finally:
                await connection.execute("RESET ROLE")
                await connection.execute("DROP OWNED BY sees_little")
                await connection.execute("DROP ROLE sees_little")
    assert live == by_name == [pid]
