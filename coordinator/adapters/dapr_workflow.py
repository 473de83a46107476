"""Dapr Workflow: the worker that carries orders out in this process, and the client that schedules them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import Any

import grpc
from dapr.ext.workflow import DaprWorkflowContext, WorkflowActivityContext, WorkflowRuntime, WorkflowStatus
from dapr.ext.workflow.aio import DaprWorkflowClient

from coordinator.outages import WorkflowUnavailable
from coordinator.ports import Phase
from coordinator.workflow import NAME, migrate

log = logging.getLogger(__name__)

Activity = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
OVER = {WorkflowStatus.COMPLETED, WorkflowStatus.FAILED, WorkflowStatus.TERMINATED}
CALL_SECONDS = 10.0


class DaprWorkflows:
    """Implements WorkflowScheduler; make it inside the running loop, to which its client and activities belong."""

    def __init__(self, grpc_port: int, activities: Mapping[str, Activity]) -> None:
        self._port, self._activities = str(grpc_port), activities
        self._loop = asyncio.get_running_loop()
        self._client = DaprWorkflowClient(host="127.0.0.1", port=self._port)
        self._runtime: WorkflowRuntime | None = None

    @property
    def connected(self) -> bool:
        return self._runtime is not None

    async def work(self) -> None:
        """Returns once the worker is connected; daprd may come up long after this process."""
        runtime = WorkflowRuntime(host="127.0.0.1", port=self._port)
        runtime.register_workflow(_fresh_workflow(), name=NAME)
        for name, activity in self._activities.items():
            runtime.register_activity(_on_loop(self._loop, activity), name=name)
        # It waits for a sidecar without end, and would block every request with it.
        await asyncio.to_thread(runtime.start)
        self._runtime = runtime
        log.info("workflow_worker_connected")

    async def stop(self) -> None:
        if self._runtime is not None:
            await asyncio.to_thread(self._runtime.shutdown)

    async def schedule(self, request_id: str) -> None:
        order = {"request_id": request_id}
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await self._client.schedule_new_workflow(workflow=NAME, input=order, instance_id=request_id)
        except TimeoutError as error:
            raise WorkflowUnavailable("no worker took it in time") from error
        except grpc.RpcError as error:
            if _code(error) is not grpc.StatusCode.ALREADY_EXISTS:
                raise WorkflowUnavailable(_code(error).name) from error

    async def phase(self, request_id: str) -> Phase:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                state = await self._client.get_workflow_state(request_id, fetch_payloads=False)
        except TimeoutError as error:
            raise WorkflowUnavailable("no answer in time") from error
        except grpc.RpcError as error:
            raise WorkflowUnavailable(_code(error).name) from error
        if state is None:
            return Phase.NONE
        return Phase.OVER if state.runtime_status in OVER else Phase.ALIVE


def _fresh_workflow() -> Callable[..., Generator[Any, Any, None]]:
    """The SDK marks what it registers and refuses it a second time, so every runtime gets a function of its own."""

    def run(ctx: DaprWorkflowContext, command: dict[str, Any]) -> Generator[Any, Any, None]:
        yield from migrate(ctx, command)

    return run


def _on_loop(loop: asyncio.AbstractEventLoop, activity: Activity) -> Callable[..., Awaitable[dict[str, Any]]]:
    """The SDK runs activities in a loop of its own, where the application's connections cannot be used."""

    async def run(_: WorkflowActivityContext, order: dict[str, Any]) -> dict[str, Any]:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_awaited(activity, order), loop))

    return run


async def _awaited(activity: Activity, order: dict[str, Any]) -> dict[str, Any]:
    return await activity(order)


def _code(error: grpc.RpcError) -> grpc.StatusCode:
    code = getattr(error, "code", None)
    return code() if callable(code) else grpc.StatusCode.UNKNOWN
