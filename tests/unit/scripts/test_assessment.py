"""The attacker's collection tells a closed door from an open one, and forgets no route."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.assessment.__main__ import Try, send_all
from scripts.assessment.attacks import ATTACKS, Forger, is_possible
from scripts.assessment.doors import DAPRD, Door, Route, doors_of, routes_of
from scripts.infrastructure.settings import ROOT
from signed_calls.key_folder import make_key
from tests.unit.repository.test_every_signed_route import CHANGING, CONFIDENTIAL, READING

FLEET: dict[str, Any] = {each["appID"]: each for each in yaml.safe_load((ROOT / "dapr.yaml").read_text())["apps"]}


class Server(ThreadingHTTPServer):
    """Answers every request with one status, and remembers what it was sent."""

    status = 401

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.seen.append((self.command, self.path, dict(self.headers.items()), body))
        self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_POST = do_DELETE = answer  # noqa: N815 - as http.server wants them

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def forger(tmp_path: Path) -> Forger:
    for name in ("operator", "cds-task"):
        make_key(tmp_path, name)
    return Forger(tmp_path, "operator")


def test_every_route_that_changes_something_or_is_confidential_is_tried() -> None:
    for name in ("cas-audit", "cds-client"):
        tried = {(route.method, route.path.replace("assessment", "x")) for route in routes_of(name)}
        assert {each[1:] for each in CHANGING if each[0] == name} <= tried
        confidential = {path for at, _, path in READING if at == name and path.startswith(CONFIDENTIAL)}
        assert {path.split("/")[1] for path in confidential} == {
            path.split("/")[1] for method, path in tried if method == "GET"
        }


def test_each_application_is_tried_by_its_port_its_sidecar_and_the_coordinators() -> None:
    ways = {(door.route.application, door.way) for door in doors_of(FLEET)}
    assert {name for name, _ in ways} == FLEET.keys()
    assert all((name, way) in ways for name in FLEET for way in ("app port", "own sidecar"))
    assert len([way for way in ways if way[1] == "coordinator's sidecar"]) == len(FLEET) - 1


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_sent_as_it_was_made(server: Server, forger: Forger, attack: str) -> None:
    door = Door(Route("cas-audit", "POST", "/audit/events", {"events": []}), "app port", server.base)
    assert is_possible(attack, door)
    sending = ATTACKS[attack](forger, door)
    who, statuses = send_all([Try(attack, door, sending)])
    assert who.startswith("uid ")
    assert statuses == [401]
    assert len(server.seen) == sending.times
    method, path, headers, body = server.seen[-1]
    assert (method, path, body) == ("POST", "/audit/events", sending.content)
    sent = {name.lower(): value for name, value in headers.items()}
    assert {name: sent.get(name) for name in sending.headers} == dict(sending.headers)
    assert ("content-type" in sent) is (attack != "no content type")


@pytest.mark.parametrize(
    ("status", "way", "refused"),
    [
        (401, "app port", True),
        (403, "app port", True),
        (404, "app port", False),
        (422, "own sidecar", False),
        (200, "app port", False),
        (500, "app port", False),
        (404, DAPRD, True),
        (204, DAPRD, False),
        (0, "app port", False),
    ],
)
def test_an_answer_of_somebody_who_was_let_in_is_no_refusal(
    forger: Forger, status: int, way: str, refused: bool
) -> None:
    door = Door(Route("cds-client", "POST", "/x", {}), way, "http://127.0.0.1:9")
    assert Try("no key", door, forger.no_key(door)).was_refused(status) is refused


def test_a_door_that_does_not_answer_is_told(forger: Forger) -> None:
    door = Door(Route("cds-client", "GET", "/x"), "app port", "http://127.0.0.1:9")
    assert send_all([Try("no key", door, forger.no_key(door))])[1] == [0]
