"""How Dapr's worker and this process meet: in two loops, and with functions that are registered once."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from dapr.ext.workflow import WorkflowRuntime

from coordinator.adapters.dapr_workflow import _new_workflow, _run_on_event_loop
from coordinator.workflow.current import NAME


async def test_an_activity_runs_in_the_applications_loop_whatever_loop_orders_it() -> None:
    here = asyncio.get_running_loop()
    ran_in: list[asyncio.AbstractEventLoop] = []

    async def activity(order: dict[str, Any]) -> dict[str, Any]:
        ran_in.append(asyncio.get_running_loop())
        return {**order, "done": True}

    answers: list[Any] = []

    def elsewhere() -> None:
        answers.append(asyncio.run(_run_on_event_loop(here, activity)(None, {"request_id": "r"})))  # type: ignore[arg-type]

    thread = threading.Thread(target=elsewhere)
    thread.start()
    await asyncio.to_thread(thread.join)
    assert answers == [{"request_id": "r", "done": True}]
    assert ran_in == [here]


def test_a_second_worker_in_one_process_registers_the_same_workflow_again() -> None:
    async def activity(order: dict[str, Any]) -> dict[str, Any]:
        return order

    loop = asyncio.new_event_loop()
    for _ in range(2):
        runtime = WorkflowRuntime(host="127.0.0.1", port="1")
        runtime.register_workflow(_new_workflow(), name=NAME)
        runtime.register_activity(_run_on_event_loop(loop, activity), name="make_plan")
    loop.close()
