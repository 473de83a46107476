"""The SQL under the idempotency: what two sessions see of each other."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from migration_sidecar.contract.messages import Action, Operation, OperationRequest, OperationState
from migration_sidecar.engine.engine import Engine
from migration_sidecar.engine.operations.operation_watch import ask_to_cancel, keep_progress, standing
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
    records = await engine.place.records()
    async with engine.database.connection() as first, engine.database.connection() as second:
        await records.prepare(first)
        transaction = first.transaction()
        await transaction.start()
        await records.insert_operation(first, wanted, wanted.digest, record)
        meanwhile = asyncio.create_task(records.insert_operation(second, wanted, "another digest", record))
        await asyncio.sleep(0.2)
        await transaction.commit()
        assert await meanwhile == wanted.digest


async def test_a_late_word_of_progress_changes_neither_an_end_nor_a_wish_to_cancel(engine: Engine) -> None:
    wanted = request()
    running = accepted(wanted).model_copy(update={"state": OperationState.RUNNING, "attempts": 1})
    done = running.model_copy(update={"state": OperationState.SUCCEEDED})
    records = await engine.place.records()
    async with engine.database.connection() as connection:
        await records.prepare(connection)
        await records.insert_operation(connection, wanted, wanted.digest, accepted(wanted))
        await ask_to_cancel(connection, records, wanted.operation_id)
        await keep_progress(connection, records, running)
        wish = await standing(connection, records, wanted.operation_id)
        await records.update_operation(connection, done)
        await keep_progress(connection, records, running)
        end = await standing(connection, records, wanted.operation_id)
    assert wish is not None
    assert (wish.cancelled, wish.record) == (True, running)
    assert end is not None
    assert end.record == done
