"""Whoever cancels need not know which replica drives the operation, nor how far it is."""

from __future__ import annotations

import asyncio
from contextlib import closing
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import psycopg
import pytest

import migration_sidecar.engine.operations.executor
import migration_sidecar.engine.operations.monitor
import migration_sidecar.engine.operations.queue
from migration_sidecar.contract.audit_detail import validation_error
from migration_sidecar.contract.errors import DatabaseUnreachable, UnknownOperation
from migration_sidecar.contract.messages import OperationState
from migration_sidecar.database.operations_table import OperationsTable
from migration_sidecar.engine.engine import Engine
from migration_sidecar.engine.journal_events import audit_event
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
    tables,
    until,
    version,
)
from tests.integration.migration_sidecar.sleepers import SLEEPERS, pid_of_the_sleeper, sleeps_the_first_time, waits

WELL_BEFORE_THE_END_SECONDS = 30.0  # of what takes a minute when nobody ends it


async def test_a_replica_that_does_not_drive_an_operation_cancels_it(
    environment: Environment, start_engine: StartEngine, database: Database, tmp_path: Path
) -> None:
    marker = tmp_path / "pid"
    environment.revision("a1")
    environment.revision("a2", sleeps_the_first_time(marker))
    first, second = start_engine(environment), start_engine(environment)
    accepted = await first.operations.accept(request())
    await pid_of_the_sleeper(marker, database)
    begun = monotonic()
    cancelled = await second.operations.cancel(accepted.operation_id)
    assert monotonic() - begun < WELL_BEFORE_THE_END_SECONDS
    assert cancelled.state is OperationState.CANCELLED
    assert lock_is_free(database)
    assert (await ended(first, accepted.operation_id)) == cancelled
    assert version(database) == cancelled.current_revisions == ["a1"]
    assert tables(database) == {"t_a1"}
    assert kinds(database, accepted.operation_id) == ["attempt", "started", "applied", "cancelled"]


async def test_a_replica_that_only_watches_tells_how_far_it_is(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    environment.revision("a1")
    first, second = start_engine(environment), start_engine(environment, MIGRATE_ON_STARTUP="check")
    with closing(psycopg.connect(database.url, autocommit=True, application_name="month end")) as stranger:
        stranger.execute("SELECT pg_advisory_lock(19785, 285493415)")
        accepted = await first.operations.accept(request())
        await second.startup.run()
        seen = await until(partial(waits, second, accepted.operation_id))
        assert (seen.state, seen.attempts) == (OperationState.RUNNING, 1)
        assert "month end" in seen.waiting_for
    done = await ended(second, accepted.operation_id)
    assert done.state is OperationState.SUCCEEDED
    assert done == await ended(first, accepted.operation_id)


async def test_what_was_cancelled_while_its_service_was_away_stays_cancelled(
    environment: Environment, start_engine: StartEngine, database: Database, tmp_path: Path
) -> None:
    marker = tmp_path / "pid"
    environment.revision("a1", sleeps_the_first_time(marker))
    first, second = start_engine(environment), start_engine(environment)
    accepted = await first.operations.accept(request())
    await pid_of_the_sleeper(marker, database)
    await first.close()
    cancelled = await second.operations.cancel(accepted.operation_id)
    assert cancelled.state is OperationState.CANCELLED
    third = start_engine(environment, MIGRATE_ON_STARTUP="check")
    await third.startup.run()
    assert (await ended(third, accepted.operation_id)) == cancelled
    assert tables(database) == set()


async def test_a_request_to_cancel_that_nobody_heard_is_found_by_whoever_takes_the_operation_up(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    environment.revision("a1")
    first = start_engine(environment)
    done = await carry_out(first)
    environment.revision("a2")
    wanted = request()
    record = done.model_copy(update={"operation_id": wanted.operation_id, "state": OperationState.ACCEPTED})
    records = await first.target_database.records()
    async with first.database.connection() as connection:
        await records.operations.insert(connection, wanted, record)
        await records.operations.request_cancel(connection, wanted.operation_id)
    second = start_engine(environment, MIGRATE_ON_STARTUP="check")
    await second.startup.run()
    assert (await ended(second, wanted.operation_id)).state is OperationState.CANCELLED
    assert kinds(database, wanted.operation_id) == []
    assert tables(database) == {"t_a1"}


async def test_what_waits_for_its_turn_is_cancelled_without_waiting_for_it(
    engine: Engine, environment: Environment, database: Database, tmp_path: Path
) -> None:
    marker = tmp_path / "pid"
    environment.revision("a1", sleeps_the_first_time(marker))
    driven = await engine.operations.accept(request())
    await pid_of_the_sleeper(marker, database)
    waiting = await engine.operations.accept(request())
    assert (await engine.operations.cancel(waiting.operation_id)).state is OperationState.CANCELLED
    assert (await engine.operations.find(waiting.operation_id)).state is OperationState.CANCELLED
    assert not (await engine.operations.find(driven.operation_id)).state.ended
    assert (await engine.operations.cancel(driven.operation_id)).state is OperationState.CANCELLED
    assert kinds(database, waiting.operation_id) == []


async def test_a_pause_between_two_attempts_ends_when_it_is_cancelled(
    environment: Environment, start_engine: StartEngine, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.revision("a1", 'op.execute("CREATE TABLE orders (id int)")')
    engine = start_engine(environment)
    await carry_out(engine)
    environment.revision("a2", 'op.execute("ALTER TABLE orders ADD COLUMN note text")')
    monkeypatch.setattr(migration_sidecar.engine.operations.executor, "uniform", lambda *_: 60.0)
    with closing(psycopg.connect(database.url)) as holder:
        holder.execute("SELECT count(*) FROM orders")
        accepted = await engine.operations.accept(request())
        await until(lambda: kinds(database, accepted.operation_id)[-1:] == ["failed"])
        begun = monotonic()
        cancelled = await engine.operations.cancel(accepted.operation_id)
        assert monotonic() - begun < WELL_BEFORE_THE_END_SECONDS
    assert cancelled.state is OperationState.CANCELLED
    assert version(database) == ["a1"]


async def test_a_deadline_ends_a_pause_too(
    environment: Environment, start_engine: StartEngine, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.revision("a1", 'op.execute("CREATE TABLE orders (id int)")')
    engine = start_engine(environment)
    await carry_out(engine)
    environment.revision("a2", 'op.execute("ALTER TABLE orders ADD COLUMN note text")')
    monkeypatch.setattr(migration_sidecar.engine.operations.executor, "uniform", lambda *_: 60.0)
    with closing(psycopg.connect(database.url, application_name="month end")) as holder:
        holder.execute("SELECT count(*) FROM orders")
        begun = monotonic()
        operation = await carry_out(engine, deadline_seconds=8)
        assert monotonic() - begun < WELL_BEFORE_THE_END_SECONDS
    assert operation.state is OperationState.FAILED
    assert operation.error is not None
    assert operation.error.code in ("CM-403", "CM-404")
    assert "month end" in operation.error.detail
    assert version(database) == ["a1"]


@pytest.mark.parametrize("moment", [0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.6])
async def test_at_any_moment_the_database_ends_at_a_whole_revision_and_the_lock_is_free(
    moment: float, engine: Engine, environment: Environment, database: Database
) -> None:
    for number in range(1, 7):
        name = f"a{number}"
        body = f'op.execute("CREATE TABLE t_{name} (id int)"); op.execute("SELECT pg_sleep(0.05)")'
        environment.revision(name, f'{body}; op.execute("CREATE TABLE t_{name}_too (id int)")')
    await engine.reader.status()
    accepted = await engine.operations.accept(request())
    await asyncio.sleep(moment)
    operation = await engine.operations.cancel(accepted.operation_id)
    assert operation.state in (OperationState.CANCELLED, OperationState.SUCCEEDED)
    await until(lambda: lock_is_free(database))
    done = applied(database)
    assert tables(database) == {f"t_{name}{half}" for name in done for half in ("", "_too")}
    assert operation.current_revisions == done[-1:]


async def test_cancelling_ends_the_server_side_too(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    """At once, not when the server looks for its client the next time."""
    environment.ini.write_text(environment.ini.read_text() + "client_connection_check_interval = 60s\n")
    environment.revision("a1", 'op.execute("SELECT pg_sleep(60)")')
    engine = start_engine(environment)
    accepted = await engine.operations.accept(request())
    await until(lambda: rows(database, SLEEPERS))
    await engine.operations.cancel(accepted.operation_id)
    await until(lambda: not rows(database, SLEEPERS), within=WELL_BEFORE_THE_END_SECONDS)


async def test_only_an_operation_that_exists_can_be_cancelled(engine: Engine, environment: Environment) -> None:
    environment.revision("a1")
    for _ in ("no table yet", "no row"):
        with pytest.raises(UnknownOperation):
            await engine.operations.cancel("nobody's")
        await carry_out(engine)


async def test_a_wait_for_a_stranger_ends_at_once_wherever_it_is_cancelled(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    environment.revision("a1")
    first, second = start_engine(environment), start_engine(environment)
    with closing(psycopg.connect(database.url, autocommit=True)) as stranger:
        stranger.execute("SELECT pg_advisory_lock(19785, 285493415)")
        accepted = await first.operations.accept(request())
        await until(partial(waits, first, accepted.operation_id))
        assert (await second.operations.cancel(accepted.operation_id)).state is OperationState.CANCELLED


async def test_a_database_that_is_away_keeps_nobody_from_ending_the_process(
    engine: Engine, environment: Environment, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.revision("a1", 'op.execute("SELECT pg_sleep(60)")')
    accepted = await engine.operations.accept(request())
    await until(lambda: rows(database, SLEEPERS))

    async def away(*_: object) -> None:
        raise DatabaseUnreachable("CM-513", "It is away.")

    monkeypatch.setattr(OperationsTable, "request_cancel", away)
    with pytest.raises(DatabaseUnreachable):
        await engine.operations.cancel(accepted.operation_id)
    assert (await ended(engine, accepted.operation_id)).state is OperationState.CANCELLED
    await until(lambda: not rows(database, SLEEPERS), within=WELL_BEFORE_THE_END_SECONDS)


async def test_whoever_cancels_beside_the_attempt_leaves_its_record_alone(
    engine: Engine, environment: Environment, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stored record is older than the one that is held here: it must not take its place."""
    monkeypatch.setattr(migration_sidecar.engine.operations.monitor, "POLL_SECONDS", 60.0)
    environment.revision("a1", 'op.execute("SELECT pg_sleep(60)")')
    accepted = await engine.operations.accept(request())
    await until(lambda: rows(database, SLEEPERS))
    cancelled = await engine.operations.cancel(accepted.operation_id)
    assert (cancelled.state, cancelled.attempts) == (OperationState.CANCELLED, 1)
    assert cancelled.started_at is not None
    assert cancelled.started_at > cancelled.accepted_at


@pytest.mark.parametrize("replica", ["the one that drives it", "another one"])
async def test_the_journal_and_the_record_name_the_proven_caller_who_has_cancelled(
    replica: str, environment: Environment, start_engine: StartEngine, database: Database, tmp_path: Path
) -> None:
    """Not only whoever had asked for the operation."""
    marker = tmp_path / "pid"
    environment.revision("a1", sleeps_the_first_time(marker))
    first, second = start_engine(environment), start_engine(environment)
    accepted = await first.operations.accept(request(requested_by="alice"))
    await pid_of_the_sleeper(marker, database)
    asked = first if replica == "the one that drives it" else second
    await asked.operations.cancel(accepted.operation_id, cancelled_by="operator")
    assert (await ended(first, accepted.operation_id)).cancelled_by == "operator"
    assert (await ended(second, accepted.operation_id)).cancelled_by == "operator"
    # A second wish changes nothing any more.
    assert (await first.operations.cancel(accepted.operation_id, cancelled_by="mallory")).cancelled_by == "operator"
    said = "SELECT detail->>'actor', detail->>'cancelled_by' FROM migration_sidecar.journal WHERE kind = 'cancelled'"
    told = rows(database, said)
    assert told == [("alice", "operator")]
    (row,) = [row for row in await journal_rows(first) if row["kind"] == "cancelled"]
    event = audit_event(row, "orders", "orders")
    assert (event.actor, event.detail["cancelled_by"]) == ("alice", "operator")
    assert validation_error(event) is None


async def test_a_waiting_operation_keeps_who_has_cancelled_it(
    engine: Engine, environment: Environment, tmp_path: Path, database: Database
) -> None:
    marker = tmp_path / "pid"
    environment.revision("a1", sleeps_the_first_time(marker))
    driven = await engine.operations.accept(request())
    await pid_of_the_sleeper(marker, database)
    waiting = await engine.operations.accept(request())
    await engine.operations.cancel(waiting.operation_id, cancelled_by="operator")
    await engine.operations.cancel(driven.operation_id)
    assert (await ended(engine, driven.operation_id)).cancelled_by is None
    stored = "SELECT record->>'cancelled_by' FROM migration_sidecar.operations WHERE operation_id = %s"
    with database.connect() as connection:
        assert connection.execute(stored, (waiting.operation_id,)).fetchone() == ("operator",)
        # Release 0.2 refuses a field that it does not know.
        known = "SELECT record ? 'cancelled_by' FROM migration_sidecar.operations WHERE operation_id = %s"
        assert connection.execute(known, (driven.operation_id,)).fetchone() == (False,)


async def journal_rows(engine: Engine) -> list[Any]:
    records = await engine.target_database.records()
    async with engine.database.connection() as connection:
        return await records.journal.unrelayed(connection, 100, [])


async def test_a_replica_that_writes_its_own_record_afterwards_keeps_who_has_cancelled(
    engine: Engine, environment: Environment
) -> None:
    """It read the record before the wish was stored."""
    environment.revision("a1")
    record = await carry_out(engine)
    wanted = request()
    records = await engine.target_database.records()
    begun = record.model_copy(update={"operation_id": wanted.operation_id, "state": OperationState.ACCEPTED})
    async with engine.database.connection() as connection:
        assert await records.operations.insert(connection, wanted, begun)
        await records.operations.request_cancel(connection, wanted.operation_id, "operator")
        running = begun.model_copy(update={"state": OperationState.RUNNING})
        await records.operations.save_progress(connection, running)
        assert await records.operations.canceller(connection, wanted.operation_id) == "operator"
        await records.operations.save(connection, begun.model_copy(update={"state": OperationState.CANCELLED}))
        kept = await records.operations.find(connection, wanted.operation_id)
    assert kept is not None
    assert (kept.state, kept.cancelled_by) == (OperationState.CANCELLED, "operator")
