"""The SQL under the idempotency: what two sessions see of each other."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from migration_sidecar.contract.messages import Action, Operation, OperationRequest, OperationState
from migration_sidecar.engine.engine import Engine
from tests.integration.migration_sidecar.environments import request


def accepted(wanted: OperationRequest) -> Operation:
    return Operation(
        operation_id=wanted.operation_id,
        service="orders",
        database="orders",
        action=Action.UPGRADE,
        target="head",
        state=OperationState.ACCEPTED,
        accepted_at=datetime.now(UTC),
    )


async def test_an_operation_that_another_replica_stores_at_this_very_moment_is_recognised(engine: Engine) -> None:
    """The other's row is committed after this statement took its snapshot."""
    wanted = request()
    record = accepted(wanted)
    records = await engine.target_database.records()
    async with (
        engine.database.connection() as first,
        engine.database.connection() as second,
        engine.database.connection() as third,
    ):
        await records.prepare(first)
        transaction = first.transaction()
        await transaction.start()
        assert await records.operations.insert(first, wanted, record)
        others = wanted.model_copy(update={"requested_by": "somebody else"})
        meanwhile = asyncio.create_task(records.operations.insert(second, others, record))
        again = asyncio.create_task(records.operations.insert(third, wanted, record))
        await asyncio.sleep(0.2)
        await transaction.commit()
        assert not await meanwhile
        assert await again


async def test_a_late_word_of_progress_changes_neither_an_end_nor_a_wish_to_cancel(engine: Engine) -> None:
    wanted = request()
    running = accepted(wanted).model_copy(update={"state": OperationState.RUNNING, "attempts": 1})
    done = running.model_copy(update={"state": OperationState.SUCCEEDED})
    records = await engine.target_database.records()
    async with engine.database.connection() as connection:
        await records.prepare(connection)
        await records.operations.insert(connection, wanted, accepted(wanted))
        await records.operations.request_cancel(connection, wanted.operation_id)
        await records.operations.save_progress(connection, running)
        wish = await records.operations.read(connection, wanted.operation_id)
        await records.operations.save(connection, done)
        await records.operations.save_progress(connection, running)
        end = await records.operations.read(connection, wanted.operation_id)
    assert wish is not None
    assert (wish.cancelled, wish.record) == (True, running)
    assert end is not None
    assert end.record == done
