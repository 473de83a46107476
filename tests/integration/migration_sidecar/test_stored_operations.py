"""The SQL under the idempotency: what two sessions see of each other."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from migration_sidecar.engine import Engine
from migration_sidecar.messages import Action, Operation, OperationState
from migration_sidecar.operations import body_digest
from tests.integration.migration_sidecar.environments import request


async def test_an_operation_that_another_replica_stores_at_this_very_moment_is_recognised(engine: Engine) -> None:
    """The other's row is committed after this statement took its snapshot."""
    wanted = request()
    record = Operation(
        operation_id=wanted.operation_id,
        service="orders",
        database="orders",
        action=Action.UPGRADE,
        target="head",
        state=OperationState.ACCEPTED,
        accepted_at=datetime.now(UTC),
    )
    records = await engine.place.records()
    async with engine.database.connection() as first, engine.database.connection() as second:
        await records.prepare(first)
        transaction = first.transaction()
        await transaction.start()
        await records.insert_operation(first, wanted, body_digest(wanted), record)
        meanwhile = asyncio.create_task(records.insert_operation(second, wanted, "another digest", record))
        await asyncio.sleep(0.2)
        await transaction.commit()
        assert await meanwhile == body_digest(wanted)
