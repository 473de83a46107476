"""What is made of the word of a migration process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import nullcontext
from typing import Any, cast

from migration_sidecar.contract.messages import OperationRequest
from migration_sidecar.engine.operations.execution import OperationExecution
from migration_sidecar.engine.operations.worker_run import WorkerRun
from migration_sidecar.forkserver.client import WorkerProcess
from migration_sidecar.protocol.origin import Origin
from tests.unit.migration_sidecar.accepted import RECORD


class Lingering:
    """Says what it has to say, and then does not go away."""

    def __init__(self, *said: dict[str, Any]) -> None:
        self.said = said

    async def send_orders(self, orders: dict[str, Any]) -> None:
        pass

    async def reports(self) -> AsyncGenerator[dict[str, Any], None]:
        for report in self.said:
            yield report
        await asyncio.Event().wait()


async def heard(*said: dict[str, Any], deadline_seconds: int = 60) -> WorkerRun:
    wanted = OperationRequest(
        operation_id="op-1", target="head", requested_by="test", deadline_seconds=deadline_seconds
    )
    execution = OperationExecution(wanted, RECORD, Origin.BY_HAND)
    talk = WorkerRun(execution)
    process = cast(WorkerProcess, Lingering({"event": "session", "pid": 7}, *said))
    with execution.executing(None, cast(Any, None)):
        async with asyncio.timeout(10):
            await talk.run(nullcontext(process), {})
    return talk


async def test_nobody_waits_for_a_process_to_be_taken_down_that_said_it_is_done() -> None:
    talk = await heard({"event": "done", "result": None})
    assert talk.is_conclusive
    assert talk.ending.problem is None


async def test_of_one_that_says_no_more_until_the_deadline_nothing_is_concluded() -> None:
    talk = await heard(deadline_seconds=1)
    assert talk.session_may_live
    assert not talk.is_conclusive
