"""A service that answers with far too much: its run ends, and says why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from coordinator.adapters.audit_client import HttpAudit
from coordinator.adapters.dapr_pubsub import DaprPublisher
from coordinator.adapters.dapr_state import DOCUMENT_BYTES, DaprDocuments
from coordinator.adapters.daprd import AnswerTooLarge, Reply
from coordinator.adapters.service_client import HttpServices
from coordinator.domain.request import read_request
from coordinator.domain.run_state import RunState
from coordinator.errors import ServiceLied
from coordinator.ports import ServiceAddress
from coordinator.unavailable import AuditUnavailable, BrokerUnavailable, DocumentTooLarge, StateUnavailable
from migration_sidecar.contract.messages import Action, AuditEvent, Operation, Problem
from migration_sidecar.contract.progress_events import ProgressEventType
from tests.unit.coordinator.fakes import FakeService, MemoryDocuments, World

HERE = ServiceAddress("first", "first_db")
NAMES = [str(number) for number in range(1_000_000)]
PLAN = {"service": "first", "database": "first_db", "action": "upgrade", "target": "head", "digest": "0" * 64}
WHOLE = {**PLAN, "from": [], "to": ["r2"], "revisions": []}
EVENT = AuditEvent(
    event_id=UUID(int=1), event_type="drift.found", occurred_at=datetime(2026, 1, 1, tzinfo=UTC), source="s"
)
REQUEST = read_request({"services": ["first"], "request_id": "r-1"}, default_request_id="none")


class Daprd:
    def __init__(self, answer: Reply | Exception) -> None:
        self.answer = answer

    async def call(self, *_: Any, **__: Any) -> Reply:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def services(answer: Any) -> HttpServices:
    reply = answer if isinstance(answer, Exception) else Reply(200, json.dumps(answer).encode())
    return HttpServices(Daprd(reply))  # type: ignore[arg-type]


async def test_an_answer_beyond_the_bound_is_told_with_the_service_and_the_bound() -> None:
    with pytest.raises(ServiceLied, match=r"first answered, but with more than 4194304 bytes"):
        await services(AnswerTooLarge(4194304)).status(HERE)
    with pytest.raises(AuditUnavailable, match="more than 4194304 bytes"):
        await HttpAudit(Daprd(AnswerTooLarge(4194304)), "first").append([EVENT])  # type: ignore[arg-type]


@pytest.mark.parametrize("member", ["from", "to", "revisions", "obstacles", "warnings"])
async def test_a_plan_with_a_list_of_a_million_is_no_plan(member: str) -> None:
    with pytest.raises(ServiceLied, match="first answered, but its MigrationPlan is not one"):
        await services({**WHOLE, member: NAMES}).plan(HERE, action=Action.UPGRADE, target="head")


@pytest.mark.parametrize("member", ["current_revisions", "head_revisions", "pending"])
async def test_a_status_with_a_list_of_a_million_is_no_status(member: str) -> None:
    status = {"service": "first", "database": "first_db", "state": "at_head", member: NAMES}
    with pytest.raises(ServiceLied):
        await services(status).status(HERE)


class SmallDocuments(MemoryDocuments):
    """A store that takes no more than a run of these tests needs."""

    async def replace(self, key: str, value: Mapping[str, Any], etag: str) -> bool:
        if (size := len(json.dumps(value))) > 20_000:
            raise DocumentTooLarge(key, size, 20_000)
        return await super().replace(key, value, etag)


async def ended(world: World) -> Any:
    life = world.life()
    await life.acceptance.accept(REQUEST)
    await life.drive()
    run = await life.runs.read("r-1")
    assert run is not None
    return run


async def test_a_plan_that_no_record_can_hold_ends_its_run_with_the_reason() -> None:
    world = World(documents=SmallDocuments())
    problem = Problem(code="CM-404", title="t", detail="x" * 50_000, next_step="n")
    world.fleet.services["first"].obstacles = [problem]
    run = await ended(world)
    assert run.state is RunState.FAILED
    assert [obstacle.code for obstacle in run.obstacles] == ["CM-814"]


async def test_an_outcome_that_no_record_can_hold_ends_its_step_for_a_person() -> None:
    class Talkative(FakeService):
        def poll(self, operation_id: str) -> Operation:
            return super().poll(operation_id).model_copy(update={"waiting_for": "x" * 50_000})

    world = World(documents=SmallDocuments())
    world.fleet.services["first"] = Talkative(HERE)
    run = await ended(world)
    assert run.state is RunState.NEEDS_ATTENTION
    assert run.step("first").error.code == "CM-814"


async def test_a_document_beyond_what_daprd_takes_is_not_sent() -> None:
    documents = DaprDocuments(Daprd(AssertionError("it was sent")), "store")  # type: ignore[arg-type]
    with pytest.raises(DocumentTooLarge, match=str(DOCUMENT_BYTES)):
        await documents.create("run-x", {"planned": NAMES})


async def test_a_sidecar_that_answers_an_event_without_end_has_not_taken_it() -> None:
    publisher = DaprPublisher(Daprd(AnswerTooLarge(7)), "pubsub", "topic")  # type: ignore[arg-type]
    with pytest.raises(BrokerUnavailable, match="more than 7 bytes"):
        await publisher.publish(ProgressEventType.ACCEPTED, "id", datetime(2026, 1, 1, tzinfo=UTC), {})


async def test_a_state_store_that_answers_without_end_cannot_be_used() -> None:
    with pytest.raises(StateUnavailable, match="more than 7 bytes"):
        await DaprDocuments(Daprd(AnswerTooLarge(7)), "store").read("run-x")  # type: ignore[arg-type]
