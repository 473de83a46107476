"""A signature holds through two real daprds: neither changes the method, the address, the body or the four headers.

And what daprd lets anybody do, call an application in another's name, is refused by the application.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
import yaml
from starlette.requests import Request
from starlette.responses import JSONResponse

from coordinator.adapters.daprd import DaprHttpClient, HttpCaller
from migration_sidecar.http_server.proven_caller import target_of
from scripts.infrastructure import ports
from scripts.infrastructure.supervise import Program, dying_with_us
from signed_calls.key_folder import make_key, private_file, public_folder
from signed_calls.keys import PublicKeys, SigningKey
from signed_calls.refusal import CallRefused
from signed_calls.signature import HEADERS, Call
from signed_calls.signer import Signer
from signed_calls.verification import Verifier

DAPRD = Path(sys.prefix) / "dapr" / ".dapr" / "bin" / "daprd"
HERE, CALLER = "cds-client", "migration-coordinator"
LONG_SECONDS = 60.0


@dataclass
class Application:
    """Answers with who has called; keeps what it was sent."""

    verifier: Verifier
    seen: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    tokens: list[list[str]] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        body = await request.body()
        sent = [(name.decode(), value.decode("latin-1")) for name, value in scope["headers"]]
        self.tokens.append(request.headers.getlist("authorization"))
        self.seen.append((request.method, target_of(request), dict(sent), body))
        try:
            caller = self.verifier.verify(request.method, target_of(request), sent, body)
            answer = JSONResponse({"caller": caller.name})
        except CallRefused as refused:
            answer = JSONResponse({"refused": refused.kind}, status_code=401)
        await answer(scope, receive, send)


@pytest.fixture
async def application(tmp_path: Path) -> AsyncIterator[tuple[Application, int]]:
    application = Application(Verifier(PublicKeys(public_folder(tmp_path / "keys")), HERE))
    port = ports.choose(1)[0]
    config = uvicorn.Config(application, host="127.0.0.1", port=port, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    yield application, port
    server.should_exit = True
    await serving


@pytest.fixture
async def daprd(application: tuple[Application, int], tmp_path: Path) -> AsyncIterator[int]:
    """The HTTP port of the caller's daprd; the application has one of its own."""
    resolution = {"component": "sqlite", "version": "v1", "configuration": {}}
    resolution["configuration"] = {"connectionString": str(tmp_path / "names.db"), "cleanupInterval": "0s"}
    configuration = {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Configuration",
        "metadata": {"name": "calls"},
        "spec": {"nameResolution": resolution},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(configuration))
    with ExitStack() as stack:
        programs = {}
        for name, app_port in ((HERE, application[1]), (CALLER, None)):
            http, grpc, internal, metrics = ports.choose(4)
            command = [
                *(str(DAPRD), "--app-id", name, "--config", str(tmp_path / "config.yaml")),
                *("--dapr-listen-addresses", ports.LOOPBACK, "--dapr-http-port", str(http)),
                *("--dapr-grpc-port", str(grpc), "--dapr-internal-grpc-port", str(internal)),
                *("--metrics-port", str(metrics), *(("--app-port", str(app_port)) if app_port else ())),
            ]
            program = Program(
                "daprd", dying_with_us(command), tmp_path / name, environment={"DAPR_HOST_IP": "127.0.0.1"}
            )
            stack.callback(program.stop)
            program.start()
            programs[name] = http
        async with httpx.AsyncClient() as client:
            for http in programs.values():
                await until_healthy(client, http)
        yield programs[CALLER]


async def until_healthy(client: httpx.AsyncClient, http: int) -> None:
    async with asyncio.timeout(LONG_SECONDS):
        while True:
            try:
                if (await client.get(f"http://127.0.0.1:{http}/v1.0/healthz")).status_code == 204:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.1)


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return make_key(tmp_path / "keys", CALLER)


@pytest.fixture
async def coordinator(daprd: int, key: SigningKey, tmp_path: Path) -> AsyncIterator[HttpCaller]:
    """The coordinator's own client, with its own key."""
    async with DaprHttpClient(
        daprd, signer=Signer.from_file(CALLER, private_file(tmp_path / "keys", CALLER))
    ) as client:
        yield client


TO_HERE = {"dapr-app-id": HERE}
CALLS: list[tuple[str, str, dict[str, str], Any]] = [
    ("GET", "/migrations", {}, None),
    ("GET", "/migrations/plan", {"action": "upgrade", "target": "main@heads", "sql": "true"}, None),
    ("GET", "/migrations/journal", {"after": "0", "limit": "500"}, None),
    (
        "POST",
        "/migrations/operations",
        {"wait_seconds": "5"},
        {"operation_id": "release-41.cds-client.1", "é": "\u2603"},
    ),
    ("DELETE", "/migrations/operations/release-41.cds-client.1:2", {}, None),
    ("POST", "/audit/events", {}, {"events": ["x" * 300_000]}),
]
# As `coordinator/api/audit_proxy.py` passes a query on: as it was sent.
QUERIES = [
    "",
    "limit=100",
    "actor=a%20b&actor=a+b",
    "request=%C3%BC%2F%3F%26%3D",
    "x=%7E~&y=%41",
    "after=&empty",
    "a=b=c&d=e%",
    "q=a;b,c:d@e!f$g'h(i)j*k",
    "lower=%c3%bc",
]


async def test_no_daprd_changes_anything_that_is_signed(
    application: tuple[Application, int], coordinator: HttpCaller
) -> None:
    for method, path, parameters, body in CALLS:
        reply = await coordinator.call(method, path, body=body, parameters=parameters, headers=TO_HERE)
        assert (path, parameters, reply.document()) == (path, parameters, {"caller": CALLER})
    for query in QUERIES:
        answer = await coordinator.open("/audit/events", query, headers=TO_HERE)
        assert (query, (await answer.whole()).document()) == (query, {"caller": CALLER})
    for path in ("/audit/runs/release-41", "/audit/proof/57", "/audit/events/c3a6f1d4-7d0b-5f3e-8a44-6b1f0c9a2e57"):
        answer = await coordinator.open(path, "", headers=TO_HERE)
        assert (path, (await answer.whole()).document()) == (path, {"caller": CALLER})


async def test_the_relays_way_of_calling_holds_too(
    application: tuple[Application, int], daprd: int, key: SigningKey
) -> None:
    """By the long address and with httpx, as a service calls the audit; its address is the part behind `method`."""
    body = b'{"events": []}'
    headers = {"content-type": "application/json", **key.sign(Call("POST", "/audit/events", HERE, body))}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{daprd}/v1.0/invoke/{HERE}/method") as client:
        answer = await client.post("/audit/events", content=body, headers=headers)
    assert answer.json() == {"caller": CALLER}


async def test_a_bearer_token_arrives_once_and_as_it_was_sent(application: tuple[Application, int], daprd: int) -> None:
    """By the address that the command `coordinator` calls."""
    token = "Bearer " + ".".join(["eyJhbGciOiJFZERTQSJ9", "A-_" * 1000, "c2ln"])
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{daprd}/v1.0/invoke/{HERE}/method") as client:
        await client.post("/migrations", json={}, headers={"authorization": token})
    assert application[0].tokens[-1] == [token]


async def test_a_name_in_a_header_proves_nothing_and_a_heard_call_is_good_for_nothing(
    application: tuple[Application, int], daprd: int, coordinator: HttpCaller
) -> None:
    heard, port = application
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{daprd}", headers=TO_HERE) as stranger:
        named = {"dapr-caller-app-id": CALLER, "content-type": "application/json"}
        answer = await stranger.post("/migrations/operations", json={}, headers=named)
        assert answer.json() == {"refused": "unsigned"}
        await coordinator.call("POST", "/migrations/operations", body={"a": 1}, headers=TO_HERE)
        method, target, headers, body = heard.seen[-1]
        taken = {name: headers[name] for name in HEADERS} | {"content-type": "application/json"}
        assert (await stranger.request(method, target, content=body, headers=taken)).json() == {"refused": "repeated"}
        assert (await stranger.post(target, content=b"{}", headers=taken)).json() == {"refused": "body_changed"}
        assert (await stranger.post("/other", content=body, headers=taken)).json() == {"refused": "wrong_signature"}
        # Nor at the application's own port.
        direct = await stranger.post(f"http://127.0.0.1:{port}{target}", content=body, headers=taken)
        assert direct.json() == {"refused": "repeated"}


async def test_what_the_coordinator_asks_of_daprd_itself_carries_no_signature(key: SigningKey) -> None:
    async with DaprHttpClient(1, signer=Signer(lambda: key)) as client:
        headers = {"content-type": "application/cloudevents+json"}
        assert client._signed("POST", client_url("/v1.0/publish/pubsub/t"), b"{}", headers) == headers


def client_url(path: str) -> Any:
    from yarl import URL

    return URL(f"http://127.0.0.1:1{path}")
