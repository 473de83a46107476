"""Every route of every application, taken from its own table: what a web page can send reaches none of them."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import BaseRoute, Route

from coordinator import app as coordinator
from coordinator.adapters.daprd import DaprHttpClient
from coordinator.domain.catalog_file import read_catalog
from coordinator.settings import Settings
from migration_sidecar.api.app import make_app
from services.cas_service.app import app as cas_audit
from services.client_service.app import app as cds_client

ROOT = Path(__file__).parents[3]
PAGE = "http://evil.example"
JSON = {"content-type": "application/json"}


def whole_coordinator() -> FastAPI:
    app = coordinator.create_app()
    settings = Settings()
    coordinator._wire(app, settings, read_catalog((ROOT / "fleet.toml").read_text()), DaprHttpClient(3500))
    return app


APPLICATIONS = {
    "coordinator": whole_coordinator,
    "cas-audit": lambda: cas_audit,
    "cds-client": lambda: cds_client,
    "serve": lambda: make_app(ROOT / "services" / "task_service" / "alembic.ini"),
}


def routes_of(routes: Sequence[BaseRoute]) -> Iterator[tuple[str, str]]:
    for route in routes:
        if (included := getattr(route, "original_router", None)) is not None:
            yield from routes_of(included.routes)
            continue
        assert isinstance(route, Route), f"{route} is of a kind that nobody has thought of"
        for method in sorted(route.methods or ()):
            yield method, re.sub(r"\{[^}]*\}", "x", route.path)


async def every_route_of_all() -> list[tuple[str, str, str]]:
    return [(name, method, path) for name, make in APPLICATIONS.items() for method, path in routes_of(make().routes)]


EVERY_ROUTE = asyncio.run(every_route_of_all())  # the coordinator's parts ask for the loop they are to run in
every_route = pytest.mark.parametrize(("name", "method", "path"), EVERY_ROUTE, ids=" ".join)
WRITING = [each for each in EVERY_ROUTE if each[1] in ("POST", "PUT", "PATCH", "DELETE")]
every_writing_route = pytest.mark.parametrize(("name", "method", "path"), WRITING, ids=" ".join)


async def ask(name: str, method: str, path: str, **sent: object) -> httpx.Response:
    transport = httpx.ASGITransport(APPLICATIONS[name](), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        return await client.request(method, path, **sent)  # type: ignore[arg-type]


def test_the_tables_are_not_empty() -> None:
    assert {name for name, *_ in WRITING} == APPLICATIONS.keys()
    assert ("coordinator", "POST", "/events/migrate-requested") in WRITING
    assert ("cas-audit", "POST", "/audit/events") in WRITING
    assert ("cds-client", "DELETE", "/migrations/operations/x") in WRITING


FOREIGN = {
    "another host": {"host": "evil.example:8000"},
    "another origin": {"origin": PAGE},
    "a page of no origin": {"origin": "null"},
    "a page of another port": {"origin": "http://127.0.0.1:9999"},
    "a page that hides its origin": {"sec-fetch-site": "cross-site"},
    "a page of the same site": {"sec-fetch-site": "same-site"},
}


@every_route
async def test_nothing_that_a_foreign_page_sends_is_answered(name: str, method: str, path: str) -> None:
    for what, headers in FOREIGN.items():
        answer = await ask(name, method, path, headers={**JSON, **headers}, content=b"{}")
        assert (what, answer.status_code) == (what, 403)
        if method != "HEAD":
            assert answer.json()["code"] == "CM-107"
            assert {"title", "detail", "next_step", "retryable", "status"} <= answer.json().keys()
        assert answer.headers["content-type"] == "application/problem+json"


@every_route
async def test_a_host_or_an_origin_that_is_given_twice_is_refused(name: str, method: str, path: str) -> None:
    for twice in ("host", "origin", "sec-fetch-site"):
        good = {"host": "localhost", "origin": "http://localhost", "sec-fetch-site": "same-origin"}
        headers = [*JSON.items(), *good.items(), (twice, good[twice])]
        answer = await ask(name, method, path, headers=headers, content=b"{}")
        assert (twice, answer.status_code) == (twice, 403)


@every_writing_route
async def test_a_body_that_is_not_declared_as_json_is_refused(name: str, method: str, path: str) -> None:
    """What a page may send without being asked for leave, and a blob, which has no type."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", None, ""):
        headers = {} if kind is None else {"content-type": kind}
        answer = await ask(name, method, path, headers=headers, content=b'{"services": "all"}')
        assert (kind, answer.status_code, answer.json()["code"]) == (kind, 415, "CM-101")
    twice = [("content-type", "application/json"), ("content-type", "text/plain")]
    assert (await ask(name, method, path, headers=twice, content=b"{}")).status_code == 415


@every_writing_route
async def test_json_of_any_kind_and_no_body_at_all_reach_the_route(name: str, method: str, path: str) -> None:
    for kind in ("application/json", "Application/JSON; charset=utf-8", "application/cloudevents+json"):
        answer = await ask(name, method, path, headers={"content-type": kind}, content=b"[]")
        assert answer.status_code != 403
        assert answer.status_code != 415 or "+" in kind  # the coordinator's own calls take plain JSON only
    assert (await ask(name, method, path)).status_code not in (403, 415)


@pytest.mark.parametrize("name", APPLICATIONS)
async def test_an_address_that_is_no_route_is_refused_alike(name: str) -> None:
    assert (await ask(name, "POST", "/nowhere", headers={**JSON, "origin": PAGE})).status_code == 403
    assert (await ask(name, "GET", "/dapr/config")).status_code == 404


@pytest.mark.parametrize("name", APPLICATIONS)
async def test_a_websocket_is_refused(name: str) -> None:
    sent: list[dict[str, object]] = []

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    async def receive() -> dict[str, object]:
        return {"type": "websocket.connect"}

    scope = {"type": "websocket", "path": "/migrations", "scheme": "ws", "headers": [(b"host", b"127.0.0.1")]}
    await APPLICATIONS[name]()({**scope, "query_string": b"", "subprotocols": []}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


async def test_a_flood_of_refused_requests_is_two_lines_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Once as it begins, for each kind; how many there were is told a minute later."""
    app = make_app(ROOT / "services" / "task_service" / "alembic.ini")
    transport = httpx.ASGITransport(app)
    with caplog.at_level(logging.INFO, "migration_sidecar"):
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            for _ in range(300):
                await client.get("/migrations", headers={"origin": PAGE})
                await client.get("/migrations", headers={"host": "evil.example"})
    assert [record.__dict__["kind"] for record in caplog.records] == ["origin", "host"]


@every_route
async def test_no_dependency_waits_for_a_thread(
    name: str, method: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FastAPI gives each one that is no coroutine to a thread, which takes longer than all that it does here."""
    in_threads: list[object] = []

    async def run_in_threadpool(function: Callable[..., object], **values: object) -> object:
        in_threads.append(function)
        return function(**values)

    monkeypatch.setattr("fastapi.dependencies.utils.run_in_threadpool", run_in_threadpool)
    await ask(name, method, path, headers=JSON, content=b"{}")
    assert in_threads == []
