"""The audit's routes at the coordinator's door, down to what its sidecar is asked and answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from aiohttp import web
from fastapi import FastAPI

from coordinator.adapters.audit_client import HttpAudit
from coordinator.adapters.daprd import DaprHttpClient
from coordinator.api import audit_proxy
from coordinator.api.http import PROBLEMS
from migration_sidecar.http_server.problem_response import install_problem_handlers
from tests.unit.coordinator.at_the_doors import call_requesters

PROBLEM = {"code": "CM-522", "title": "t", "detail": "d", "next_step": "n", "retryable": True}
EXPORT = [f'{{"seq":{number}}}\n'.encode() * 20_000 for number in range(5)]


class Daprd:
    """A server in daprd's place that answers as the test says, and remembers whom it was asked for what."""

    def __init__(self) -> None:
        self.asked: list[tuple[str | None, str]] = []
        self.status, self.body, self.content_type = 200, b"{}", "application/json"

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.headers.get("dapr-app-id"), request.raw_path))
        if request.path == "/audit/export":
            return await self._stream(request)
        return web.Response(status=self.status, body=self.body, headers={"content-type": self.content_type})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "application/jsonl"})
        await response.prepare(request)
        for piece in EXPORT:
            await response.write(piece)
        return response


@pytest.fixture
async def daprd() -> Daprd:
    return Daprd()


@pytest.fixture
async def client(daprd: Daprd) -> AsyncIterator[httpx.AsyncClient]:
    async with listening(daprd) as port, door(port) as client:
        yield client


@asynccontextmanager
async def listening(daprd: Daprd) -> AsyncIterator[int]:
    runner = web.ServerRunner(web.Server(daprd))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def door(port: int) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    install_problem_handlers(app, PROBLEMS)
    async with DaprHttpClient(port) as sidecar:
        app.include_router(audit_proxy.routes(HttpAudit(sidecar, "cas-audit"), call_requesters()))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://coordinator") as client:
            yield client


@pytest.mark.parametrize(
    "asked",
    [
        "/audit/events",
        "/audit/events?type=revision.*&from=2026-11-22T15:00:00%2B01:00&service=a&service=b",
        "/audit/events?actor=%25%00%C3%A9%20x%41%7e",
        "/audit/events/57",
        "/audit/events/c3a6f1d4-7d0b-5f3e-8a44-6b1f0c9a2e57",
        "/audit/runs/release-41",
        "/audit/verify?after=10&limit=5",
        "/audit/anchors",
        "/audit/keys",
        "/audit/proof/c3a6f1d4-7d0b-5f3e-8a44-6b1f0c9a2e57",
    ],
)
async def test_a_question_reaches_the_audit_as_it_was_asked_and_the_answer_comes_back_as_it_is(
    client: httpx.AsyncClient, daprd: Daprd, asked: str
) -> None:
    daprd.body = b'{"kept": [1.50, "as it is"]}'
    answer = await client.get(asked)
    assert (answer.status_code, answer.content) == (200, daprd.body)
    assert answer.headers["content-type"] == "application/json"
    assert daprd.asked == [("cas-audit", asked)]


async def test_an_export_is_passed_on_whole(client: httpx.AsyncClient) -> None:
    answer = await client.get("/audit/export?from=1")
    assert answer.headers["content-type"] == "application/jsonl"
    assert answer.content == b"".join(EXPORT)


async def test_the_audits_own_refusal_is_passed_on_with_who_refused(client: httpx.AsyncClient, daprd: Daprd) -> None:
    daprd.status, daprd.body = 503, json.dumps(PROBLEM).encode()
    answer = await client.get("/audit/runs/release-41")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    found = answer.json()
    assert {name: found[name] for name in PROBLEM} == PROBLEM
    assert found["service"] == "cas-audit"


NO_ANSWERS: list[tuple[dict[str, Any], int, str]] = [
    ({"status": 500, "body": b'{"errorCode": "ERR_DIRECT_INVOKE", "message": "no host"}'}, 503, "CM-802"),
    ({"status": 500, "body": b"oops"}, 503, "CM-802"),
    ({"status": 404, "body": b'{"detail": "Not Found"}'}, 502, "CM-801"),
    ({"status": 307, "body": b""}, 502, "CM-801"),
    ({"content_type": "text/html", "body": b"<script>"}, 502, "CM-801"),
]


@pytest.mark.parametrize(("given", "status", "code"), NO_ANSWERS)
async def test_what_is_no_answer_of_the_audit_is_a_problem(
    client: httpx.AsyncClient, daprd: Daprd, given: dict[str, Any], status: int, code: str
) -> None:
    vars(daprd).update(given)
    answer = await client.get("/audit/events")
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_sidecar_that_is_away_is_named() -> None:
    async with door(9) as client:
        answer = await client.get("/audit/export")
    assert (answer.status_code, answer.json()["code"]) == (503, "CM-811")


@pytest.mark.parametrize(
    "path",
    [
        "/audit/events/..%2f..%2fmigrations",
        "/audit/events/%2e%2e",
        "/audit/runs/a%20b",
        "/audit/runs/a%3Fx=1",
        "/audit/runs/a%23b",
        "/audit/runs/%C3%A9",
        f"/audit/proof/{'x' * 129}",
        f"/audit/events?actor={'x' * 2000}",
    ],
)
async def test_a_name_that_would_lead_elsewhere_reaches_nobody(
    client: httpx.AsyncClient, daprd: Daprd, path: str
) -> None:
    answer = await client.get(path)
    assert answer.status_code in (404, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    assert daprd.asked == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_nothing_is_written_to_the_audit_through_the_coordinators_door(
    client: httpx.AsyncClient, daprd: Daprd, method: str
) -> None:
    answer = await client.request(method, "/audit/events", content=b'{"events": []}')
    assert (answer.status_code, daprd.asked) == (405, [])
