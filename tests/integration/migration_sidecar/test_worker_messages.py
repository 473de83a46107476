"""The messages of real workers are the declared ones: `conftest` checks all of them, here is one of every kind."""

from __future__ import annotations

from migration_sidecar.contract.messages import Action, OperationState
from migration_sidecar.engine.engine import Engine
from tests.integration.migration_sidecar.conftest import Messages, StartEngine
from tests.integration.migration_sidecar.environments import Environment, carry_out, ended, request


async def test_jobs_that_ask_and_a_migration_send_what_is_declared(
    environment: Environment, engine: Engine, messages: Messages
) -> None:
    environment.revision("one")
    await engine.revision_files.with_sql(await engine.reader.plan(Action.UPGRADE, "head"))
    await engine.revision_files.resolve(Action.UPGRADE, "+1", [])
    operation = await carry_out(engine)

    assert operation.state is OperationState.SUCCEEDED
    assert {job["kind"] for job in messages.jobs} >= {"look", "render", "resolve", "migrate"}
    assert len(messages.orders) == 1
    assert {report["event"] for report in messages.reports} == {
        *("done", "exited"),
        *("looking", "connecting", "connected", "looked", "heard", "folders", "loading"),
        *("session", "locked", "migrating", "revision", "executed", "applied"),
    }


async def test_a_failure_a_wait_and_a_repair_are_declared_too(
    environment: Environment, start_engine: StartEngine, messages: Messages
) -> None:
    environment.revision("slow", "import time; time.sleep(1)")
    environment.revision("one", 'op.execute("CREATE TABLE t (id int)"); op.execute("INSERT INTO t VALUES (1), (1)")')
    build = 'op.create_index("ix", "t", ["id"], unique=True, postgresql_concurrently=True)'
    environment.revision("two", f"with op.get_context().autocommit_block():\n    {build}")
    first, second = start_engine(environment), start_engine(environment)
    both = [await engine.operations.accept(request()) for engine in (first, second)]
    assert (await ended(first, both[0].operation_id)).state is not OperationState.SUCCEEDED
    assert (await ended(second, both[1].operation_id)).state is not OperationState.SUCCEEDED

    assert {report["event"] for report in messages.reports} >= {"waiting", "failed"}
