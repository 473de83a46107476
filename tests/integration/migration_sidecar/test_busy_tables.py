"""A table that somebody uses: the migration gives way to its readers and comes back."""

from __future__ import annotations

import asyncio
from contextlib import closing
from functools import partial
from time import monotonic

import psycopg
import pytest

from migration_sidecar.contract.messages import Operation, OperationState
from migration_sidecar.engine.engine import Engine
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import MakeEnvironment, StartEngine
from tests.integration.migration_sidecar.environments import (
    Environment,
    carry_out,
    ended,
    kinds,
    request,
    rows,
    until,
    version,
)
from tests.integration.migration_sidecar.sleepers import waits

LOCK_TIMEOUT_SECONDS = 1.0
A_LITTLE_SECONDS = 0.2
LONGER_THAN_LOCK_TIMEOUT = """
SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'CREATE INDEX CONCURRENTLY%'
  AND wait_event_type = 'Lock' AND clock_timestamp() - query_start > interval '2 s'
"""


async def slowest_read(database: Database, enough: asyncio.Event, table: str = "orders") -> float:
    slowest = 0.0
    async with await psycopg.AsyncConnection.connect(database.url, autocommit=True) as reader:
        while not enough.is_set():
            begun = monotonic()
            await reader.execute(f"SELECT count(*) FROM {table}")
            slowest = max(slowest, monotonic() - begun)
            await asyncio.sleep(0.01)
    return slowest


async def second_wait(engine: Engine, operation_id: str) -> Operation | None:
    """After the second attempt in a row gave way."""
    operation = await engine.operations.find(operation_id)
    return operation if operation.attempts > 1 and operation.waiting_for else None


@pytest.mark.parametrize("template", ["generic", "async"])
async def test_readers_hardly_wait_for_a_migration_that_waits_for_their_table(
    template: str, make_environment: MakeEnvironment, start_engine: StartEngine, database: Database
) -> None:
    environment = make_environment(template)
    environment.revision("a1", 'op.execute("CREATE TABLE orders (id int)"); op.execute("CREATE TABLE others (id int)")')
    engine = start_engine(environment)
    await carry_out(engine)
    environment.revision("a2", 'op.execute("ALTER TABLE orders ADD COLUMN note text")')

    enough = asyncio.Event()
    with closing(psycopg.connect(database.url, application_name="month end")) as holder:
        holder.execute("SELECT count(*) FROM orders")  # keeps its lock until the transaction ends
        reading = [asyncio.create_task(slowest_read(database, enough)) for _ in range(5)]
        aside = [asyncio.create_task(slowest_read(database, enough, "others")) for _ in range(5)]
        accepted = await engine.operations.accept(request())
        waiting = await until(partial(second_wait, engine, accepted.operation_id))
        pid = holder.info.backend_pid
        holder.rollback()
    done = await ended(engine, accepted.operation_id)
    enough.set()
    # What the machine adds is told by readers of a table that nobody wants.
    a_little = max(A_LITTLE_SECONDS, 3 * max(await asyncio.gather(*aside)))
    assert LOCK_TIMEOUT_SECONDS / 2 < max(await asyncio.gather(*reading)) < LOCK_TIMEOUT_SECONDS + a_little
    assert waiting.state is OperationState.RUNNING
    assert f"Revision a2 waits for table orders, held by pid {pid} (month end, " in (waiting.waiting_for or "")
    assert done.state is OperationState.SUCCEEDED
    assert done.attempts > 1
    ends = [kind for kind in kinds(database, accepted.operation_id) if kind not in ("attempt", "started")]
    assert ends == ["failed"] * (done.attempts - 1) + ["applied"]


async def test_whoever_is_in_the_way_is_named_while_the_revision_waits(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    """Not only afterwards: an index that is built concurrently may wait for hours."""
    environment.revision("a1", 'op.execute("CREATE TABLE orders (id int)")')
    engine = start_engine(environment)
    await carry_out(engine)
    environment.revision(
        "a2",
        """
        with op.get_context().autocommit_block():
            op.create_index("ix_orders", "orders", ["id"], postgresql_concurrently=True)
        """,
    )
    with closing(psycopg.connect(database.url, application_name="month end")) as holder:
        holder.execute("INSERT INTO orders VALUES (1)")
        accepted = await engine.operations.accept(request())
        waiting = await until(partial(waits, engine, accepted.operation_id))
        assert waiting.attempts == 1
        assert f"held by pid {holder.info.backend_pid} (month end, " in (waiting.waiting_for or "")
        holder.commit()
    done = await ended(engine, accepted.operation_id)
    assert (done.state, done.attempts, done.waiting_for) == (OperationState.SUCCEEDED, 1, None)


async def test_patience_that_has_ended_names_who_was_in_the_way(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    environment.revision("a1", 'op.execute("CREATE TABLE orders (id int)")')
    await carry_out(start_engine(environment))
    environment.revision("a2", 'op.execute("ALTER TABLE orders ADD COLUMN note text")')
    environment.ini.write_text(environment.ini.read_text() + "patience_seconds = 6\n")
    with closing(psycopg.connect(database.url, application_name="month end")) as holder:
        holder.execute("SELECT count(*) FROM orders")
        operation = await carry_out(start_engine(environment))
        assert operation.state is OperationState.FAILED
        assert operation.error is not None
        assert (operation.error.code, operation.error.sqlstate) == ("CM-404", "55P03")
        assert f"table orders, held by pid {holder.info.backend_pid} (month end, " in operation.error.detail
        assert operation.attempts > 1
    assert version(database) == ["a1"]


MEETS_AN_OTHER_IN_THE_MIDDLE = """
connection = op.get_bind()
count = connection.exec_driver_sql("SELECT count(*) FROM migration_sidecar.journal WHERE kind = 'attempt'").scalar()
op.execute("SET LOCAL deadlock_timeout = '50ms'")
op.execute("LOCK TABLE orders")
waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'orders'::regclass)"
while count == 2 and not connection.exec_driver_sql(waiting).scalar():
    pass
op.execute("ALTER TABLE lines ADD COLUMN note text")
"""


async def test_a_deadlock_that_the_migration_lost_is_tried_again(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    environment.revision("a1", 'op.execute("CREATE TABLE orders (id int); CREATE TABLE lines (id int)")')
    engine = start_engine(environment)
    await carry_out(engine)
    environment.revision("a2", MEETS_AN_OTHER_IN_THE_MIDDLE)
    async with await psycopg.AsyncConnection.connect(database.url) as other:
        await other.execute("SET deadlock_timeout = '60s'")
        await other.execute("LOCK TABLE lines")
        accepted = await engine.operations.accept(request())
        await until(lambda: "started" in started_now(database))
        await other.execute("LOCK TABLE orders")
        await other.rollback()
    done = await ended(engine, accepted.operation_id)
    assert done.state is OperationState.SUCCEEDED
    assert done.attempts > 1
    states = "SELECT detail->'problem'->>'sqlstate' FROM migration_sidecar.journal WHERE kind = 'failed' ORDER BY seq"
    assert rows(database, states)[0] == ("40P01",)


def started_now(database: Database) -> list[str]:
    locked = "SELECT 'started' FROM pg_locks WHERE relation = 'orders'::regclass AND granted AND mode LIKE 'AccessEx%'"
    return [word for (word,) in rows(database, locked)]


async def test_a_lock_timeout_outside_a_transaction_is_not_tried_again(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    """Something of it may have taken effect, so it is a person's case."""
    environment.revision("a1", 'op.execute("CREATE TABLE orders (id int)")')
    await carry_out(start_engine(environment))
    environment.revision(
        "a2",
        """
        with op.get_context().autocommit_block():
            op.execute("CREATE TABLE t_half (id int)")
            op.execute("SET lock_timeout = '100ms'")
            op.execute("ALTER TABLE orders ADD COLUMN note text")
        """,
    )
    with closing(psycopg.connect(database.url)) as holder:
        holder.execute("SELECT count(*) FROM orders")
        operation = await carry_out(start_engine(environment))
    assert (operation.state, operation.attempts) == (OperationState.NEEDS_ATTENTION, 1)
    assert operation.error is not None
    assert operation.error.code == "CM-405"


async def test_a_setting_that_one_revision_leaves_behind_does_not_reach_the_next(
    make_environment: MakeEnvironment, start_engine: StartEngine, database: Database
) -> None:
    environment = make_environment()
    seen = """
        op.execute("CREATE TABLE seen AS SELECT current_setting('lock_timeout') AS lock_timeout")
    """
    environment.revision("a1", """op.execute("SET lock_timeout = '1h'")""")
    environment.revision("a2", seen)
    await carry_out(start_engine(environment))
    assert rows(database, "SELECT lock_timeout FROM seen") == [("1s",)]


async def test_an_index_that_is_built_concurrently_has_the_patience_it_needs(
    make_environment: MakeEnvironment, start_engine: StartEngine, database: Database
) -> None:
    """It waits for older transactions by design; giving up after a second would leave an INVALID index."""
    environment = make_environment()
    environment.revision("a1", 'op.execute("CREATE TABLE orders (id int)")')
    engine = start_engine(environment)
    await carry_out(engine)
    environment.revision(
        "a2",
        """
        with op.get_context().autocommit_block():
            op.create_index("ix_orders", "orders", ["id"], postgresql_concurrently=True)
        """,
    )
    with closing(psycopg.connect(database.url)) as holder:
        holder.execute("INSERT INTO orders VALUES (1)")
        accepted = await engine.operations.accept(request())
        await until(lambda: rows(database, LONGER_THAN_LOCK_TIMEOUT))
        assert not (await engine.operations.find(accepted.operation_id)).state.ended
        holder.commit()
    done = await ended(engine, accepted.operation_id)
    assert (done.state, done.attempts) == (OperationState.SUCCEEDED, 1)
    assert rows(database, "SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [(0,)]
