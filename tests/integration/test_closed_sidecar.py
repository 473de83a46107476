"""The coordinator's real daprd, as the committed files configure it: who calls it, and what it does for whom."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import httpx
import psutil
import pytest
import yaml
from dapr.proto import api_service_v1, api_v1

from scripts.infrastructure import dapr_cli, ports
from scripts.infrastructure.databases import prepare_state_store
from scripts.infrastructure.fleet_processes import is_program_here
from scripts.infrastructure.postgres import PostgresServer
from scripts.infrastructure.redis import RedisServer
from scripts.infrastructure.render import Rendering, configuration_of, render_fleet
from scripts.infrastructure.settings import Settings
from scripts.infrastructure.supervise import Program, dying_with_us
from signed_calls.sidecar_token import HEADER
from tests.internal_port import call_by_hand

DAPRD = Path(sys.prefix) / "dapr" / ".dapr" / "bin" / "daprd"
NAME = "migration-coordinator"
LARGE = "/large"  # its answer comes in several pieces
OF_AN_EVENT = {"/events/migrate-requested", "/events/migrate-requested-dead"}


@dataclass
class Listener:
    """Answers everything, and remembers what it was asked."""

    answers: Mapping[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    port: int = 0

    def serve(self, stack: ExitStack) -> Listener:
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("content-length") or 0))
                listener.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                body = json.dumps(listener.answers.get(self.path, {"status": "SUCCESS"})).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = answer  # noqa: N815 - as BaseHTTPRequestHandler calls them

            def log_message(self, *_: Any) -> None:
                pass

        server = HTTPServer((ports.LOOPBACK, 0), Handler)
        self.port = server.server_port
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        return self


@dataclass(frozen=True)
class Sidecar:
    """daprd, its tokens, the application behind it, and a stranger's server somewhere else."""

    http: int
    grpc: int
    internal: int
    tokens: dict[str, str]
    application: Listener
    stranger: Listener
    program: Program
    settings: Settings

    @property
    def token(self) -> dict[str, str]:
        return {HEADER: self.tokens["DAPR_API_TOKEN"]}

    def ask(self, method: str, path: str, headers: Mapping[str, str] | None = None, **more: Any) -> httpx.Response:
        url = f"http://{ports.LOOPBACK}:{self.http}{path}"
        return httpx.request(method, url, headers=headers, timeout=10, trust_env=False, **more)


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[Sidecar]:
    folder = tmp_path_factory.mktemp("closed")
    prepare_state_store(postgres.address)
    with ExitStack() as stack:
        large = {LARGE: "x" * 300_000}
        stranger = Listener().serve(stack)
        topic = {"pubsubname": "pubsub", "topic": "migrate.requested", "route": "/events/migrate-requested"}
        application = Listener({"/dapr/subscribe": [topic], **large}).serve(stack)
        settings = Settings(state=folder / "state", postgres=postgres.address, redis_host=ports.LOOPBACK)
        redis = RedisServer(settings.state / "redis", ports.choose(1)[0], dies_with_us=True)
        stack.callback(redis.stop)
        redis.start()
        settings = Settings(
            state=settings.state, postgres=postgres.address, redis_host=ports.LOOPBACK, redis_port=redis.port
        )
        settings.dapr_tokens.make([NAME])
        fleet = render_fleet(folder / "fleet", Rendering(settings, free_ports=True))
        without_actors(folder / "fleet" / "components" / "statestore.yaml")
        http, grpc_port, internal, metrics = ports.choose(4)
        command = [
            *(str(DAPRD), "--app-id", NAME, "--config", str(configuration_of(fleet, NAME))),
            *("--resources-path", str(folder / "fleet" / "components"), "--dapr-listen-addresses", ports.LOOPBACK),
            *("--app-port", str(application.port), "--app-channel-address", ports.LOOPBACK),
            *("--dapr-http-port", str(http), "--dapr-grpc-port", str(grpc_port), "--metrics-port", str(metrics)),
            *("--dapr-internal-grpc-port", str(internal)),
        ]
        tokens = settings.dapr_tokens.environment(NAME)
        program = Program(
            "daprd", dying_with_us(command), folder / "daprd", environment={"DAPR_HOST_IP": ports.LOOPBACK, **tokens}
        )
        stack.callback(program.stop)
        program.start()
        found = Sidecar(http, grpc_port, internal, tokens, application, stranger, program, settings)
        program.wait_until(lambda: is_up(found), "its health", 60)
        yield found


def without_actors(file: Path) -> None:
    """They need placement."""
    component = yaml.safe_load(file.read_text())
    metadata = component["spec"]["metadata"]
    component["spec"]["metadata"] = [entry for entry in metadata if entry["name"] != "actorStateStore"]
    file.write_text(yaml.safe_dump(component))


def is_up(sidecar: Sidecar) -> bool:
    """It loads the policy after it has begun to listen."""
    try:
        return sidecar.ask("GET", "/v1.0/healthz/outbound").status_code == 204
    except httpx.HTTPError:
        return False


ASKED = [
    ("GET", "/v1.0/state/statestore/any"),
    ("POST", "/v1.0/state/statestore"),
    ("POST", "/v1.0/publish/pubsub/migrate.requested"),
    ("GET", f"/v1.0/invoke/{NAME}/method/migrations"),
    ("POST", f"/v1.0/invoke/{NAME}/method/events/migrate-requested"),
    ("GET", "/v1.0/metadata"),
    ("POST", "/v1.0/workflows/dapr/any/terminate"),
    ("GET", "/v1.0/secrets/broker-secrets/password"),
    ("POST", "/v1.0/shutdown"),
]


@pytest.mark.parametrize(("method", "path"), ASKED)
@pytest.mark.parametrize("headers", [{}, {HEADER: "wrong"}, {HEADER: ""}, {"dapr-caller-app-id": NAME}])
def test_without_the_token_nothing_is_answered(
    sidecar: Sidecar, method: str, path: str, headers: dict[str, str]
) -> None:
    sidecar.application.asked.clear()
    assert sidecar.ask(method, path, headers, **({"json": []} if method == "POST" else {})).status_code == 401
    assert sidecar.application.asked == []


def test_the_tokens_of_application_and_sidecar_are_not_the_same(sidecar: Sidecar) -> None:
    wrong = {HEADER: sidecar.tokens["APP_API_TOKEN"]}
    assert sidecar.ask("GET", "/v1.0/state/statestore/any", wrong).status_code == 401


def test_grpc_asks_for_the_token_too(sidecar: Sidecar) -> None:
    with grpc.insecure_channel(f"{ports.LOOPBACK}:{sidecar.grpc}") as channel:
        dapr = api_service_v1.DaprStub(channel)
        with pytest.raises(grpc.RpcError) as refused:
            dapr.GetMetadata(api_v1.GetMetadataRequest(), timeout=5)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        shown = ((HEADER, sidecar.tokens["DAPR_API_TOKEN"]),)
        assert dapr.GetMetadata(api_v1.GetMetadataRequest(), timeout=5, metadata=shown).id == NAME


def test_an_event_is_delivered_with_the_token_of_the_application(sidecar: Sidecar) -> None:
    sidecar.application.asked.clear()
    published = sidecar.ask("POST", "/v1.0/publish/pubsub/migrate.requested", sidecar.token, json={"services": "all"})
    assert published.status_code == 204
    sidecar.program.wait_until(lambda: bool(sidecar.application.asked), "the event", 20)
    path, headers = sidecar.application.asked[0]
    assert path in OF_AN_EVENT
    assert headers[HEADER] == sidecar.tokens["APP_API_TOKEN"]


def test_whoever_has_the_token_may_use_what_the_fleet_uses(sidecar: Sidecar) -> None:
    key = [{"key": "any", "value": 1}]
    assert sidecar.ask("POST", "/v1.0/state/statestore", sidecar.token, json=key).status_code == 204
    assert sidecar.ask("GET", "/v1.0/state/statestore/any", sidecar.token).json() == 1
    assert sidecar.ask("GET", "/v1.0/metadata", sidecar.token).json()["id"] == NAME
    assert sidecar.ask("GET", f"/v1.0/invoke/{NAME}/method/a%2Fb/c?d=%2Fe", sidecar.token).status_code == 200
    named = {**sidecar.token, "dapr-app-id": NAME}
    assert sidecar.ask("GET", "/migrations/x.1", named).status_code == 200
    assert sidecar.ask("GET", "/v1.0/healthz/outbound").status_code == 204


def elsewhere(port: int) -> list[tuple[str, dict[str, str]]]:
    """All ways of naming an address that Dapr takes for an application."""
    url = f"http://{ports.LOOPBACK}:{port}"
    quoted, twice = url.replace(":", "%3A").replace("/", "%2F"), url.replace(":", "%253A").replace("/", "%252F")
    basic = base64.b64encode(f"dapr-app-id:{NAME}".encode()).decode()
    at_port = base64.b64encode(f"dapr-app-id:http%3A//{ports.LOOPBACK}".encode()).decode()
    own = f"/v1.0/invoke/{NAME}/method/x"
    return [
        *((f"/v1.0/invoke/{each}/method/x", {}) for each in (url, quoted, twice, url.replace("://", ":/"))),
        *((f"{prefix}/invoke/{quoted}/method/x", {}) for prefix in ("/v1.0/", "//v1.0", "/v1.0/state/..")),
        *((path, {"dapr-app-id": url}) for path in ("/x", own, "/v1.0/invoke/x/method/x")),
        ("/x", {"dapr-app-id": f"{url}/"}),
        *((path, {"authorization": f"Basic {each}"}) for path in ("/x", own) for each in (basic, at_port)),
    ]


@pytest.mark.parametrize("number", range(len(elsewhere(1))))
def test_a_sidecar_calls_no_address_for_anybody(sidecar: Sidecar, number: int) -> None:
    path, headers = elsewhere(sidecar.stranger.port)[number]
    sidecar.stranger.asked.clear()
    sidecar.application.asked.clear()
    refused = sidecar.ask("GET", path, {**sidecar.token, **headers})
    assert refused.status_code >= 400, refused.text
    assert sidecar.stranger.asked == []
    assert sidecar.application.asked == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1.0/shutdown"),
        ("GET", "/v1.0/secrets/broker-secrets/password"),
        ("GET", "/v1.0/secrets/broker-secrets/bulk"),
        ("POST", "/v1.0/bindings/any"),
        ("GET", "/v1.0/configuration/any"),
        ("GET", "/v1.0/actors/any/any/state/any"),
        ("POST", "/v1.0/jobs/any"),
        ("POST", "/v1.0-alpha1/jobs/any"),
        ("POST", "/v1.0-alpha1/lock/any"),
        ("PUT", "/v1.0-alpha1/crypto/any/encrypt"),
        ("POST", "/v1.0-alpha1/conversation/any/converse"),
        ("POST", "/v1.0-alpha1/state/statestore/query"),
    ],
)
def test_what_the_fleet_does_not_use_is_off(sidecar: Sidecar, method: str, path: str) -> None:
    assert sidecar.ask(method, path, sidecar.token).status_code in (403, 404)
    assert sidecar.program.process() is not None


def test_by_grpc_everything_but_metadata_and_workflows_is_off(sidecar: Sidecar) -> None:
    shown = ((HEADER, sidecar.tokens["DAPR_API_TOKEN"]),)
    with grpc.insecure_channel(f"{ports.LOOPBACK}:{sidecar.grpc}") as channel:
        dapr = api_service_v1.DaprStub(channel)
        for call, request in (
            (dapr.GetState, api_v1.GetStateRequest(store_name="statestore", key="any")),
            (dapr.PublishEvent, api_v1.PublishEventRequest(pubsub_name="pubsub", topic="migrate.requested")),
            (dapr.GetBulkSecret, api_v1.GetBulkSecretRequest(store_name="broker-secrets")),
            (dapr.InvokeService, api_v1.InvokeServiceRequest(id=NAME)),
            (dapr.Shutdown, api_v1.ShutdownRequest()),
        ):
            with pytest.raises(grpc.RpcError) as refused:
                call(request, timeout=5, metadata=shown)
            assert refused.value.code() in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNKNOWN), refused.value


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("path", ["/events/migrate-requested", "/dapr/subscribe", "/job/any", "/migrations"])
def test_another_sidecar_calls_the_coordinator_never(sidecar: Sidecar, path: str, streamed: bool) -> None:
    """Its port asks for no token, and what came through would bear the token of the application."""
    sidecar.application.asked.clear()
    named = {"dapr-caller-app-id": NAME}
    answer = call_by_hand(sidecar.internal, "POST", path, b"{}", named, shown=sidecar.token, streamed=streamed)
    assert (answer.refused_by_daprd or "").startswith("PERMISSION_DENIED")
    assert sidecar.application.asked == []


ANOTHER_USER = """
import sys, urllib.request, urllib.error
try:
    print(open(sys.argv[2]).read())
except OSError as error:
    print(type(error).__name__)
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=5).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="only root can be another user")
def test_another_user_of_the_machine_has_no_token_and_gets_nothing(sidecar: Sidecar) -> None:
    file = sidecar.settings.dapr_tokens.folder / NAME / "dapr-api"
    url = f"http://{ports.LOOPBACK}:{sidecar.http}/v1.0/state/statestore/any"
    other = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    python = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
    done = subprocess.run(
        [*other, python, "-I", "-c", ANOTHER_USER, url, str(file)], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["PermissionError", "401"], done.stderr


def test_daprs_own_command_publishes_with_the_token(
    sidecar: Sidecar, capfdbinary: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sidecar.application.asked.clear()
    arguments = ["publish", "--publish-app-id", NAME, "--pubsub", "pubsub", "--topic", "migrate.requested"]
    process = sidecar.program.process()
    assert process is not None
    if not is_program_here(process, "daprd"):
        pytest.skip("another program runs daprd here")
    # It takes the first sidecar of this name on the machine, and tests beside this one have theirs.
    only_ours = SimpleNamespace(process_iter=lambda: [process], Error=psutil.Error)
    monkeypatch.setattr(dapr_cli, "psutil", only_ours)
    assert dapr_cli.main([*arguments, "--data", '{"services": "all"}']) == 0
    said = capfdbinary.readouterr()
    assert b"Event published successfully" in said.out
    assert b"preview feature" not in said.out
    assert said.err == b""
    sidecar.program.wait_until(lambda: bool(sidecar.application.asked), "the event", 20)
    assert dapr_cli.main(["publish", "--publish-app-id", "nobody", *arguments[3:], "--data", "{}"]) == 1


def hang_up(sidecar: Sidecar) -> None:
    """Reads the first byte of a long answer, and is gone."""
    lines = (
        f"GET /v1.0/invoke/{NAME}/method{LARGE} HTTP/1.1",
        "host: localhost",
        *map(": ".join, sidecar.token.items()),
    )
    with socket.create_connection((ports.LOOPBACK, sidecar.http), timeout=10) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall("".join(f"{line}\r\n" for line in (*lines, "")).encode())
        with suppress(OSError):
            connection.recv(1)


def test_callers_who_hang_up_in_the_middle_of_an_answer_do_not_end_the_sidecar(sidecar: Sidecar) -> None:
    """With a timeout in resiliency.yaml, Dapr 1.18 writes on after the caller is gone, and ends in a nil pointer."""
    process = sidecar.program.process()
    with ThreadPoolExecutor(8) as callers:
        list(callers.map(hang_up, [sidecar] * 800))
    assert sidecar.program.process() == process is not None
    assert sidecar.ask("GET", f"/v1.0/invoke/{NAME}/method/x", sidecar.token).status_code == 200
