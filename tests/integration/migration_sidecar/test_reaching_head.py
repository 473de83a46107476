"""The way that goes well, the one that stops half way, and the one that is asked for twice."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from migration_sidecar.contract.errors import IdempotencyConflict
from migration_sidecar.contract.messages import OperationState
from migration_sidecar.engine.engine import Engine
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import MakeEnvironment, StartEngine
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
    version,
)


def three_revisions(environment: Environment) -> None:
    for name in ("a1", "a2", "a3"):
        environment.revision(name)


@pytest.mark.parametrize("template", ["generic", "async"])
async def test_a_fresh_database_reaches_head_under_an_untouched_env_py(
    template: str, make_environment: MakeEnvironment, start_engine: StartEngine, database: Database
) -> None:
    environment = make_environment(template)
    three_revisions(environment)
    operation = await carry_out(start_engine(environment))
    assert operation.state is OperationState.SUCCEEDED
    assert [step.revision for step in operation.applied] == ["a1", "a2", "a3"]
    assert operation.current_revisions == version(database) == ["a3"]
    assert tables(database) == {"t_a1", "t_a2", "t_a3"}
    assert applied(database) == ["a1", "a2", "a3"]
    assert lock_is_free(database)


async def test_each_revision_shares_one_transaction_with_its_journal_rows(
    engine: Engine, environment: Environment, database: Database
) -> None:
    """The table's own xmin, the version row's and both journal rows' are one transaction id."""
    three_revisions(environment)
    operation = await carry_out(engine)
    found = rows(
        database,
        """SELECT s.revision, s.xid = a.xid, s.xmin = a.xmin,
                  s.xid = (SELECT xmin::text FROM pg_class WHERE relname = 't_' || s.revision)
           FROM migration_sidecar.journal s JOIN migration_sidecar.journal a USING (operation_id, revision, attempt)
           WHERE s.kind = 'started' AND a.kind = 'applied' AND s.operation_id = %s ORDER BY s.seq""",
        operation.operation_id,
    )
    assert found == [("a1", True, True, True), ("a2", True, True, True), ("a3", True, True, True)]
    assert rows(database, "SELECT count(DISTINCT xid) FROM migration_sidecar.journal WHERE xid IS NOT NULL") == [(3,)]


async def test_a_failing_revision_stops_at_the_one_before_and_a_repaired_one_goes_on_from_there(
    engine: Engine, environment: Environment, database: Database
) -> None:
    three_revisions(environment)
    environment.revision("a3", 'op.execute("CREATE TABLE t_a3 (id int)"); op.execute("SELECT 1/0")', below="a2")
    failed = await carry_out(engine)
    assert failed.state is OperationState.FAILED
    assert failed.error is not None
    assert (failed.error.code, failed.error.revision, failed.error.sqlstate) == ("CM-401", "a3", "22012")
    assert failed.error.service == "orders"
    assert "migrate again" in failed.error.next_step
    assert failed.current_revisions == version(database) == ["a2"]
    assert [step.revision for step in failed.applied] == ["a1", "a2"]
    assert tables(database) == {"t_a1", "t_a2"}

    environment.revision("a3", below="a2")
    repaired = await carry_out(engine)
    assert repaired.state is OperationState.SUCCEEDED
    assert [step.revision for step in repaired.applied] == ["a3"]
    assert applied(database) == ["a1", "a2", "a3"]
    assert kinds(database, failed.operation_id) == ["attempt", "started", "applied", "started", "applied", "failed"]


async def test_a_database_at_head_is_left_alone(engine: Engine, environment: Environment, database: Database) -> None:
    three_revisions(environment)
    await carry_out(engine)
    again = await carry_out(engine)
    assert (again.state, again.attempts, again.applied) == (OperationState.SUCCEEDED, 0, [])
    assert kinds(database, again.operation_id) == []


async def test_the_same_request_five_times_at_once_is_one_effect(
    engine: Engine, environment: Environment, database: Database
) -> None:
    three_revisions(environment)
    wanted = request()
    answers = await asyncio.gather(*(engine.operations.accept(wanted) for _ in range(5)))
    assert {answer.operation_id for answer in answers} == {wanted.operation_id}
    assert (await ended(engine, wanted.operation_id)).state is OperationState.SUCCEEDED
    assert kinds(database, wanted.operation_id).count("attempt") == 1
    assert applied(database) == ["a1", "a2", "a3"]


async def test_the_same_request_at_several_replicas_at_once_is_one_effect(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    """Many rounds, because the moment in which two inserts meet is short."""
    environment.revision("a1")
    engines = [start_engine(environment) for _ in range(4)]
    await asyncio.gather(*(carry_out(each) for each in engines))
    for _ in range(10):
        wanted = request()
        await asyncio.gather(*(each.operations.accept(wanted) for each in engines))
        states = [(await ended(each, wanted.operation_id)).state for each in engines]
        assert states == [OperationState.SUCCEEDED] * 4
    assert applied(database) == ["a1"]


async def test_an_id_that_comes_back_with_another_body_is_refused(
    engine: Engine, environment: Environment, database: Database
) -> None:
    three_revisions(environment)
    wanted = request("a1")
    await carry_out(engine, wanted)
    with pytest.raises(IdempotencyConflict) as refusal:
        await engine.operations.accept(wanted.model_copy(update={"target": "a2"}))
    assert (refusal.value.status, refusal.value.problem.code) == (409, "CM-601")
    assert version(database) == ["a1"]


async def test_a_restarted_service_answers_for_operations_of_its_past(
    environment: Environment, start_engine: StartEngine, database: Database
) -> None:
    three_revisions(environment)
    wanted = request(operation_id=f"run-1:{uuid4()}")
    before = start_engine(environment)
    known = await carry_out(before, wanted)
    await before.close()

    after = start_engine(environment)
    assert await after.operations.accept(wanted) == known
    assert await after.operations.find(wanted.operation_id) == known
    with pytest.raises(IdempotencyConflict):
        await after.operations.accept(wanted.model_copy(update={"requested_by": "eve"}))
    assert applied(database) == ["a1", "a2", "a3"]
