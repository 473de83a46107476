"""What the adapters make of every kind of answer that daprd and the services give."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from coordinator.adapters.dapr_publish import DaprPublisher
from coordinator.adapters.dapr_state import DaprDocuments
from coordinator.adapters.http_audit import HttpAudit
from coordinator.adapters.http_services import HttpServices
from coordinator.domain.notice import Announcement
from coordinator.errors import CoordinatorError
from coordinator.outages import (
    AuditNotReady,
    AuditUnavailable,
    BrokerUnavailable,
    ServiceLied,
    ServiceRefused,
    ServiceUnreachable,
    SidecarUnreachable,
    StateUnavailable,
)
from coordinator.ports import Address
from migration_sidecar.messages import Action, AuditEvent, OperationRequest

HERE = Address("first", "first_db")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PROBLEM = {"type": "about:blank", "status": 409, "code": "CM-404", "title": "t", "detail": "d", "next_step": "n"}
STATUS = {"service": "first", "database": "first_db", "state": "at_head"}

Handler = Callable[[httpx.Request], httpx.Response]


@asynccontextmanager
async def daprd(answer: httpx.Response | Handler) -> AsyncIterator[httpx.AsyncClient]:
    handler = (lambda _: answer) if isinstance(answer, httpx.Response) else answer
    async with httpx.AsyncClient(transport=httpx.MockTransport(handler), base_url="http://127.0.0.1:3500") as client:
        yield client


def away(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no")


def slow(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("no")


def event() -> AuditEvent:
    return AuditEvent(event_id=uuid4(), event_type="migration.requested", occurred_at=NOW, source="s")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(500, json={"errorCode": "ERR_DIRECT_INVOKE", "message": "no host"}), ServiceUnreachable),
        (httpx.Response(500, text="oops"), ServiceUnreachable),
        (httpx.Response(502, json=["what"]), ServiceUnreachable),
        (slow, ServiceUnreachable),
        (away, SidecarUnreachable),
        (httpx.Response(409, json=PROBLEM), ServiceRefused),
        (httpx.Response(503, json=PROBLEM), ServiceRefused),
        (httpx.Response(404, json={"detail": "Not Found"}), ServiceLied),
        (httpx.Response(307, headers={"location": "http://evil"}), ServiceLied),
        (httpx.Response(200), ServiceLied),
        (httpx.Response(200, text="<html>"), ServiceLied),
        (httpx.Response(200, json={"service": "first"}), ServiceLied),
        (httpx.Response(200, json={**STATUS, "surprise": 1}), ServiceLied),
        (httpx.Response(200, json={**STATUS, "service": "second"}), ServiceLied),
        (httpx.Response(200, json={**STATUS, "database": "other"}), ServiceLied),
    ],
)
async def test_every_answer_but_the_right_one_has_its_own_error(
    answer: httpx.Response | Handler, error: type[CoordinatorError]
) -> None:
    async with daprd(answer) as client:
        with pytest.raises(error):
            await HttpServices(client).status(HERE)


async def test_a_problem_is_passed_on_with_the_service_it_came_from() -> None:
    async with daprd(httpx.Response(409, json=PROBLEM)) as client:
        with pytest.raises(ServiceRefused) as caught:
            await HttpServices(client).status(HERE)
    assert (caught.value.problem().code, caught.value.problem().service, caught.value.answered) == (
        "CM-404",
        "first",
        409,
    )


async def test_the_service_is_a_header_and_the_path_is_fixed() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(503, json=PROBLEM)

    order = OperationRequest(operation_id="r-1.first.1", target="head")
    async with daprd(handler) as client:
        services = HttpServices(client)
        for ask in (
            services.status(HERE),
            services.plan(HERE, action=Action.UPGRADE, target="head", with_sql=True),
            services.start(HERE, order, wait_seconds=5),
            services.operation(HERE, "r-1.first.1", wait_seconds=5),
        ):
            with pytest.raises(ServiceRefused):
                await ask
    assert [str(request.url) for request in seen] == [
        "http://127.0.0.1:3500/migrations",
        "http://127.0.0.1:3500/migrations/plan?action=upgrade&target=head&sql=true",
        "http://127.0.0.1:3500/migrations/operations?wait_seconds=5",
        "http://127.0.0.1:3500/migrations/operations/r-1.first.1?wait_seconds=5",
    ]
    assert {request.headers["dapr-app-id"] for request in seen} == {"first"}
    assert json.loads(seen[2].content)["operation_id"] == "r-1.first.1"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(503, json={**PROBLEM, "code": "CM-522"}), AuditNotReady),
        (httpx.Response(503, json={**PROBLEM, "code": "CM-513"}), AuditUnavailable),
        (httpx.Response(500, text="oops"), AuditUnavailable),
        (httpx.Response(200, json={"stored": 0, "repeated": 0}), AuditUnavailable),
    ],
)
async def test_only_the_audits_own_word_means_that_it_is_not_migrated(
    answer: httpx.Response, error: type[CoordinatorError]
) -> None:
    async with daprd(answer) as client:
        with pytest.raises(AuditUnavailable) as caught:
            await HttpAudit(client, "audit").append([event()])
    assert type(caught.value) is error


async def test_a_receipt_for_every_event_is_a_receipt() -> None:
    one, two, three = event(), event(), event()
    answer = {"stored": 1, "repeated": 1, "conflicts": [str(three.event_id)]}
    async with daprd(httpx.Response(200, json=answer)) as client:
        receipt = await HttpAudit(client, "audit").append([one, two, three])
    assert receipt.conflicts == [three.event_id]


@pytest.mark.parametrize("answer", [httpx.Response(403), httpx.Response(500), away, slow])
async def test_a_broker_that_does_not_take_an_event_is_unavailable(answer: httpx.Response | Handler) -> None:
    async with daprd(answer) as client:
        with pytest.raises(BrokerUnavailable):
            await DaprPublisher(client, "pubsub", "migrate.events").publish(Announcement.FINISHED, "id", NOW, {})


async def test_what_is_published_is_a_whole_cloud_event_with_our_id() -> None:
    seen: list[Any] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append((request.url.path, request.headers["content-type"], json.loads(request.content)))
        return httpx.Response(204)

    async with daprd(handler) as client:
        await DaprPublisher(client, "pubsub", "migrate.events").publish(Announcement.FINISHED, "id-1", NOW, {"a": 1})
    path, kind, body = seen[0]
    assert (path, kind) == ("/v1.0/publish/pubsub/migrate.events", "application/cloudevents+json")
    assert (body["id"], body["type"], body["time"]) == ("id-1", "migrate.finished", "2026-01-01T00:00:00Z")
    assert (body["specversion"], body["data"]) == ("1.0", {"a": 1})


@pytest.mark.parametrize(
    ("answer", "won"),
    [
        (httpx.Response(204), True),
        (httpx.Response(409, json={"message": "possible etag mismatch"}), False),
        (httpx.Response(500, json={"message": "failed saving: no item was updated"}), False),
    ],
)
async def test_a_lost_race_is_told_from_a_store_that_is_down(answer: httpx.Response, won: bool) -> None:
    async with daprd(answer) as client:
        assert await DaprDocuments(client, "store").create("key", {}) is won


@pytest.mark.parametrize("answer", [httpx.Response(500, json={"errorCode": "ERR_STATE_SAVE"}), away, slow])
async def test_a_store_that_is_down_is_unavailable_and_its_text_stays_inside(answer: httpx.Response | Handler) -> None:
    async with daprd(answer) as client:
        documents = DaprDocuments(client, "store")
        for ask in (
            documents.create("k", {}),
            documents.replace("k", {}, "1"),
            documents.read("k"),
            documents.read_many(["k"]),
        ):
            with pytest.raises(StateUnavailable):
                await ask
