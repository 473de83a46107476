"""Dapr Workflow: the worker of this process, which carries activities out, and the client that schedules workflows."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import Any

import grpc
from dapr.ext.workflow import DaprWorkflowContext, WorkflowActivityContext, WorkflowRuntime, WorkflowStatus
from dapr.ext.workflow.aio import DaprWorkflowClient

from coordinator.ports import Driver, Phase
from coordinator.unavailable import WorkflowUnavailable
from coordinator.workflow.current import NAME, WAKE, command_of, migrate

log = logging.getLogger(__name__)

Activity = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
PHASES = {
    WorkflowStatus.COMPLETED: Phase.OVER,
    WorkflowStatus.FAILED: Phase.OVER,
    WorkflowStatus.TERMINATED: Phase.OVER,
    WorkflowStatus.SUSPENDED: Phase.PAUSED,
    WorkflowStatus.STALLED: Phase.STALLED,
}
PROOF = "prove"
CALL_SECONDS = 10.0
TERMINATION_SECONDS = 0.5


class DaprWorkflows:
    """Implements WorkflowScheduler. Create it inside the running loop, to which its client and activities belong."""

    def __init__(self, grpc_port: int) -> None:
        self._port = str(grpc_port)
        self.activities: Mapping[str, Activity] = {}  # by their names; set before `work`
        self._loop = asyncio.get_running_loop()
        self._client = DaprWorkflowClient(host="127.0.0.1", port=self._port)
        self._runtime: WorkflowRuntime | None = None
        self._proven, self._proof_id = True, _proof_id()

    @property
    def connected(self) -> bool:
        """Whether the worker is connected and the last proof succeeded."""
        return self._runtime is not None and self._proven

    async def prove(self) -> None:
        """Schedules an empty workflow and waits for it. It needs daprd, placement, scheduler and a connected worker."""
        if self._runtime is None:
            return
        was = self._proven
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await self._client.schedule_new_workflow(workflow=PROOF, instance_id=self._proof_id)
                await self._client.wait_for_workflow_completion(self._proof_id, timeout_in_seconds=int(CALL_SECONDS))
            self._proven = True
        except (TimeoutError, grpc.RpcError) as error:
            # The last proof may be stuck for ever: the next one gets another id.
            self._proven, self._proof_id = False, _proof_id()
            if was:
                log.warning("workflow_engine_away", extra={"why": type(error).__name__})
        if self._proven and not was:
            log.info("workflow_engine_back")

    async def work(self) -> None:
        """Starts the worker; returns once it is connected. daprd may start long after this process."""
        runtime = WorkflowRuntime(host="127.0.0.1", port=self._port)
        runtime.register_workflow(_new_workflow(), name=NAME)
        runtime.register_workflow(_new_proof(), name=PROOF)
        for name, activity in self.activities.items():
            runtime.register_activity(_run_on_event_loop(self._loop, activity), name=name)
        # It waits for daprd without a limit; in the loop it would block every request.
        await asyncio.to_thread(runtime.start)
        self._runtime = runtime
        log.info("workflow_worker_connected")

    async def stop(self) -> None:
        """Disconnects the worker."""
        if self._runtime is not None:
            await asyncio.to_thread(self._runtime.shutdown)

    async def schedule(self, instance_id: str) -> None:
        """Starts the workflow of a run; raises WorkflowUnavailable."""
        command = command_of(instance_id)
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await self._client.schedule_new_workflow(workflow=NAME, input=command, instance_id=instance_id)
        except TimeoutError as error:
            raise WorkflowUnavailable("no worker took it in time") from error
        except grpc.RpcError as error:
            if _code(error) is not grpc.StatusCode.ALREADY_EXISTS:
                raise WorkflowUnavailable(_code(error).name) from error

    async def wake(self, instance_id: str) -> None:
        """Raises WorkflowUnavailable; a workflow that is not there, or over, is left alone."""
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await self._client.raise_workflow_event(instance_id, WAKE)
        except TimeoutError as error:
            raise WorkflowUnavailable("no answer in time") from error
        except grpc.RpcError as error:
            if _code(error) in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise WorkflowUnavailable(_code(error).name) from error

    async def terminate(self, instance_id: str) -> None:
        """Ends the workflow of a run and waits until it has ended; raises WorkflowUnavailable."""
        try:
            async with asyncio.timeout(CALL_SECONDS):
                while (await self.driver(instance_id)).phase in (Phase.ALIVE, Phase.PAUSED, Phase.STALLED):
                    # Dapr loses a termination that comes together with another event: repeat it.
                    await self._client.terminate_workflow(instance_id)
                    await asyncio.sleep(TERMINATION_SECONDS)
        except TimeoutError as error:
            raise WorkflowUnavailable("the old workflow did not end in time") from error
        except grpc.RpcError as error:
            raise WorkflowUnavailable(_code(error).name) from error

    async def driver(self, instance_id: str) -> Driver:
        """The workflow of a run as the engine knows it; raises WorkflowUnavailable."""
        try:
            async with asyncio.timeout(CALL_SECONDS):
                state = await self._client.get_workflow_state(instance_id, fetch_payloads=False)
        except TimeoutError as error:
            raise WorkflowUnavailable("no answer in time") from error
        except grpc.RpcError as error:
            raise WorkflowUnavailable(_code(error).name) from error
        if state is None:
            return Driver(Phase.NONE)
        return Driver(PHASES.get(state.runtime_status, Phase.ALIVE), state.last_updated_at)


def _proof_id() -> str:
    """No request can have it: it is of another form."""
    return f"proof.{uuid.uuid4().hex}"


def _new_proof() -> Callable[..., None]:
    def prove(ctx: DaprWorkflowContext, _: Any) -> None:
        """Nothing to do; that it is called is the proof."""

    return prove


def _new_workflow() -> Callable[..., Generator[Any, Any, None]]:
    """The SDK marks what it registers and refuses it a second time, so each runtime gets a new function."""

    def run(ctx: DaprWorkflowContext, command: dict[str, Any]) -> Generator[Any, Any, None]:
        yield from migrate(ctx, command)

    return run


def _run_on_event_loop(loop: asyncio.AbstractEventLoop, activity: Activity) -> Callable[..., Awaitable[dict[str, Any]]]:
    """The SDK runs activities in a loop of its own, where the application's connections cannot be used."""

    async def run(_: WorkflowActivityContext, order: dict[str, Any]) -> dict[str, Any]:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_as_coroutine(activity, order), loop))

    return run


async def _as_coroutine(activity: Activity, order: dict[str, Any]) -> dict[str, Any]:
    return await activity(order)


def _code(error: grpc.RpcError) -> grpc.StatusCode:
    code = getattr(error, "code", None)
    return code() if callable(code) else grpc.StatusCode.UNKNOWN
