"""Whether Dapr's workflow engine works is seen from what it does; the client that asks it answers as Dapr would."""

from __future__ import annotations

import asyncio
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from dapr.ext.workflow import WorkflowStatus

from coordinator.adapters import dapr_workflow
from coordinator.adapters.dapr_workflow import DaprWorkflows
from coordinator.ports import Driver, Phase
from coordinator.unavailable import WorkflowUnavailable


class Refusal(grpc.RpcError):
    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE


class Client:
    """Stands for DaprWorkflowClient; `turns` is False while nothing is carried out, as without a scheduler."""

    def __init__(self) -> None:
        self.turns = True
        self.scheduled: list[str] = []
        self.terminated = 0
        self.drops_terminations = 0
        self.status = WorkflowStatus.RUNNING

    async def schedule_new_workflow(self, *, workflow: str, instance_id: str) -> None:
        self.scheduled.append(instance_id)

    async def wait_for_workflow_completion(self, instance_id: str, *, timeout_in_seconds: int) -> None:
        if not self.turns:
            await asyncio.sleep(3600)

    async def get_workflow_state(self, instance_id: str, *, fetch_payloads: bool) -> Any:
        return SimpleNamespace(runtime_status=self.status, last_updated_at=datetime(2026, 1, 1))

    async def terminate_workflow(self, instance_id: str) -> None:
        self.terminated += 1
        if self.terminated > self.drops_terminations:
            self.status = WorkflowStatus.TERMINATED


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
async def workflows(client: Client, monkeypatch: pytest.MonkeyPatch) -> DaprWorkflows:
    monkeypatch.setattr(dapr_workflow, "CALL_SECONDS", 0.1)
    monkeypatch.setattr(dapr_workflow, "TERMINATION_SECONDS", 0.01)
    made = DaprWorkflows(1)
    monkeypatch.setattr(made, "_client", client)
    monkeypatch.setattr(made, "_runtime", object())
    return made


async def test_an_engine_that_takes_no_turn_is_not_connected_and_one_that_does_again_is(
    workflows: DaprWorkflows, client: Client
) -> None:
    await workflows.prove()
    assert workflows.connected
    client.turns = False
    await workflows.prove()
    assert not workflows.connected
    client.turns = True
    await workflows.prove()
    assert workflows.connected


async def test_a_proof_that_got_stuck_is_not_waited_for_again(workflows: DaprWorkflows, client: Client) -> None:
    for turns in (True, True, False, True):
        client.turns = turns
        await workflows.prove()
    first, second, third, fourth = client.scheduled
    assert first == second == third != fourth


async def test_a_worker_that_never_started_is_not_connected_whatever_the_engine_does(
    workflows: DaprWorkflows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflows, "_runtime", None)
    await workflows.prove()
    assert not workflows.connected


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        (WorkflowStatus.RUNNING, Phase.ALIVE),
        (WorkflowStatus.PENDING, Phase.ALIVE),
        (WorkflowStatus.SUSPENDED, Phase.PAUSED),
        (WorkflowStatus.TERMINATED, Phase.OVER),
        (WorkflowStatus.FAILED, Phase.OVER),
        (WorkflowStatus.COMPLETED, Phase.OVER),
    ],
)
async def test_what_dapr_calls_a_workflow_is_one_of_four_phases(
    workflows: DaprWorkflows, client: Client, status: WorkflowStatus, phase: Phase
) -> None:
    client.status = status
    assert await workflows.driver("r") == Driver(phase, datetime(2026, 1, 1))


async def test_a_termination_that_dapr_drops_is_repeated(workflows: DaprWorkflows, client: Client) -> None:
    client.drops_terminations = 2
    await workflows.terminate("r")
    assert (client.terminated, client.status) == (3, WorkflowStatus.TERMINATED)


async def test_a_workflow_that_does_not_end_is_told_as_an_outage(workflows: DaprWorkflows, client: Client) -> None:
    client.drops_terminations = 10**9
    with pytest.raises(WorkflowUnavailable, match="did not end"):
        await workflows.terminate("r")


async def test_an_engine_that_refuses_the_proof_is_not_connected(
    workflows: DaprWorkflows, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(**_: Any) -> None:
        raise Refusal

    monkeypatch.setattr(client, "schedule_new_workflow", refuse)
    await workflows.prove()
    assert not workflows.connected
