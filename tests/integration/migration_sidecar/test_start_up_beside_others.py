"""Start-up opens no operation beside one that is unfinished, and looks again when that one has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from textwrap import dedent

import psycopg
import pytest

from migration_sidecar.contract.messages import DatabaseState, Operation, OperationState
from migration_sidecar.engine.engine import Engine
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import StartEngine
from tests.integration.migration_sidecar.environments import (
    Environment,
    applied,
    carry_out,
    ended,
    kinds,
    request,
    rows,
    until,
    version,
)
from tests.integration.migration_sidecar.sleepers import (
    HELD_UP,
    SLEEPERS,
    held_up,
    pid_of_the_sleeper,
    sleeps_the_first_time,
)

ALL = "SELECT operation_id, state FROM migration_sidecar.operations ORDER BY accepted_at"
IN_TURN = """
SELECT bool_and(later.accepted_at >= (earlier.record->>'finished_at')::timestamptz)
FROM migration_sidecar.operations earlier JOIN migration_sidecar.operations later
  ON later.accepted_at > earlier.accepted_at
"""


async def is_ready(engine: Engine) -> bool:
    return (await engine.startup.readiness())[0]


async def started(engine: Engine) -> None:
    """Until it has nothing left to do."""
    await engine.startup.run()
    if engine.startup._task is not None:
        async with asyncio.timeout(60):
            await engine.startup._task


def operations(database: Database) -> list[tuple[str, str]]:
    """Whose they are, without the ids that differ each time, and how they ended."""
    return [("start-up" if name.startswith("start-up-") else "other", state) for name, state in rows(database, ALL)]


Crash = Callable[..., Awaitable[Operation]]


@pytest.fixture
def crashed(environment: Environment, start_engine: StartEngine, database: Database, tmp_path: Path) -> Crash:
    """A service that died in the middle of an operation; the revision goes on the next time."""

    async def crash(target: str = "head", **facts: object) -> Operation:
        marker = tmp_path / "pid"
        environment.revision("a1")
        environment.revision("a2", sleeps_the_first_time(marker))
        environment.revision("a3")
        before = start_engine(environment)
        accepted = await before.operations.accept(request(target, **facts))
        await pid_of_the_sleeper(marker, database)
        await before.close()
        await until(lambda: not rows(database, SLEEPERS))
        return accepted

    return crash


async def test_an_operation_that_is_taken_up_is_the_only_one(
    crashed: Crash, environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    left = await crashed()
    after = start_engine(environment)
    await started(after)
    assert await is_ready(after)
    assert operations(database) == [("other", "succeeded")]
    assert rows(database, "SELECT DISTINCT operation_id FROM migration_sidecar.journal") == [(left.operation_id,)]


async def test_what_the_one_that_was_taken_up_leaves_is_done_when_it_has_ended(
    crashed: Crash, environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    await crashed("a2")
    after = start_engine(environment)
    await started(after)
    assert operations(database) == [("other", "succeeded"), ("start-up", "succeeded")]
    assert rows(database, IN_TURN) == [(True,)]
    assert (version(database), applied(database)) == (["a3"], ["a1", "a2", "a3"])


async def test_one_that_fails_leaves_start_up_its_own_try(
    crashed: Crash, environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    await crashed(deadline_seconds=60)
    with database.connect() as connection:
        connection.execute("UPDATE migration_sidecar.journal SET at = at - interval '1 hour'")
    after = start_engine(environment)
    await started(after)
    assert operations(database) == [("other", "failed"), ("start-up", "succeeded")]
    assert rows(database, IN_TURN) == [(True,)]
    assert await is_ready(after)


async def test_one_that_was_cancelled_meanwhile_leaves_start_up_its_own_try(
    crashed: Crash, environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    left = await crashed()
    after = start_engine(environment)
    records = await after.target_database.records()
    async with after.database.connection() as connection:
        await records.operations.request_cancel(connection, left.operation_id)
    await started(after)
    assert operations(database) == [("other", "cancelled"), ("start-up", "succeeded")]
    assert await is_ready(after)


async def test_one_that_needs_a_person_is_not_followed_by_another(
    environment: Environment, start_engine: StartEngine, database: Database, tmp_path: Path
) -> None:
    marker = tmp_path / "pid"
    environment.revision("a1", f'op.execute("COMMIT")\n{dedent(sleeps_the_first_time(marker))}')
    before = start_engine(environment)
    await before.operations.accept(request())
    await pid_of_the_sleeper(marker, database)
    await before.close()
    after = start_engine(environment)
    await started(after)
    assert operations(database) == [("other", "needs_attention")]
    assert not await is_ready(after)


@pytest.mark.parametrize("policy", ["check", "off"])
async def test_without_the_policy_nothing_follows_what_was_taken_up(
    policy: str, crashed: Crash, environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    left = await crashed("a2")
    after = start_engine(environment, MIGRATE_ON_STARTUP=policy)
    await started(after)
    assert (await ended(after, left.operation_id)).state is OperationState.SUCCEEDED
    assert operations(database) == [("other", "succeeded")]
    assert await is_ready(after) == (policy == "off")
    assert (await after.reader.status()).state is DatabaseState.BEHIND


async def test_an_operation_of_another_replica_is_waited_for_and_readiness_says_so(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    """It gives way to a busy table again and again, so that nobody holds the lock meanwhile."""
    environment.revision("a1", 'op.execute("CREATE TABLE orders (id int)")')
    first, second = start_engine(environment), start_engine(environment)
    await carry_out(first)
    environment.revision("a2", 'op.execute("ALTER TABLE orders ADD COLUMN note text")')
    with closing(psycopg.connect(database.url, application_name="month end")) as holder:
        holder.execute("SELECT count(*) FROM orders")
        accepted = await first.operations.accept(request())
        await until(lambda: "failed" in kinds(database, accepted.operation_id))
        await second.startup.run()
        while kinds(database, accepted.operation_id).count("failed") < 3:  # whether or not an attempt is under way
            ready, reason = await second.startup.readiness()
            assert (ready, reason[:31]) == (False, "The database is being migrated.")
        await until(partial(names_the_holder, second))
        assert operations(database) == [("other", "succeeded"), ("other", "running")]
        holder.rollback()
    await until(partial(is_ready, second))
    assert (await ended(first, accepted.operation_id)).state is OperationState.SUCCEEDED
    await started(second)
    assert operations(database) == [("other", "succeeded")] * 2


async def names_the_holder(engine: Engine) -> bool:
    return "month end" in (await engine.startup.readiness())[1]


async def test_of_ten_that_start_together_one_opens_an_operation(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    for name in ("a1", "a2"):
        environment.revision(name)
    engines = [start_engine(environment) for _ in range(10)]
    await asyncio.gather(*(started(engine) for engine in engines))
    assert [await is_ready(engine) for engine in engines] == [True] * 10
    assert operations(database) == [("start-up", "succeeded")]
    assert applied(database) == ["a1", "a2"]


async def test_start_up_looks_again_when_files_came_while_its_own_operation_ran(
    environment: Environment, start_engine: StartEngine, database: Database, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    environment.revision("a1", held_up(go))
    engine = start_engine(environment)
    await engine.startup.run()
    await until(lambda: rows(database, HELD_UP))
    environment.revision("a2")
    go.touch()
    await until(partial(is_ready, engine))
    # The database is at head a moment before the end of the operation is stored.
    await until(lambda: operations(database) == [("start-up", "succeeded")] * 2)
    assert version(database) == ["a2"]


async def test_start_up_does_not_repeat_what_has_failed(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    environment.revision("a1", 'op.execute("SELECT 1/0")')
    engine = start_engine(environment)
    await started(engine)
    assert operations(database) == [("start-up", "failed")]
    assert "division by zero" in (await engine.startup.readiness())[1]


async def test_start_up_does_not_repeat_what_somebody_cancelled(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    environment.revision("a1", 'op.execute("SELECT pg_sleep(60)")')
    engine = start_engine(environment)
    starting = asyncio.create_task(started(engine))
    await until(lambda: rows(database, SLEEPERS))
    ((operation_id, _),) = rows(database, ALL)
    await engine.operations.cancel(operation_id)
    await starting
    assert operations(database) == [("start-up", "cancelled")]


async def test_start_up_does_not_undo_what_somebody_takes_back_after_it(
    environment: Environment, start_engine: StartEngine, database: Database, tmp_path: Path
) -> None:
    """A downgrade is accepted while start-up's own operation runs, and is unfinished when it looks again."""
    environment.revision("a1")
    environment.revision("a2", held_up(tmp_path / "go"), "pass")
    engine = start_engine(environment)
    starting = asyncio.create_task(started(engine))
    await until(lambda: rows(database, HELD_UP))
    upgraded = asyncio.create_task(engine.operations.ended(rows(database, ALL)[0][0]))
    (tmp_path / "go").touch()
    await upgraded
    down = await carry_out(engine, target="a1", action="downgrade")
    await starting
    assert (down.state, version(database)) == (OperationState.SUCCEEDED, ["a1"])
    assert operations(database) == [("start-up", "succeeded"), ("other", "succeeded")]
