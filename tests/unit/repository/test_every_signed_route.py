"""Every route that changes something, from the applications' own tables: nobody but its caller gets through."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from coordinator import app as coordinator
from coordinator.adapters.daprd import DaprHttpClient
from coordinator.domain.catalog_file import read_catalog
from coordinator.settings import Settings
from migration_sidecar.api.app import make_app
from migration_sidecar.http_server.proven_caller import REMARK, CallPolicy
from services.cas_service.api.events import router
from services.cas_service.api.evidence import router as evidence
from signed_calls.key_folder import make_key, public_folder
from signed_calls.keys import SigningKey
from signed_calls.settings import CallSettings
from signed_calls.signature import Call
from tests.unit.repository.test_every_route import EVERY_ROUTE, ROOT, WRITING, routes_of

SAFE = ("GET", "HEAD", "OPTIONS")
ALWAYS_OPEN = {"/healthz", "/readyz"}  # a probe has no key
CONFIDENTIAL = ("/audit/", "/migrations/journal")  # what happened, and who did it
MADE = {
    "cas-audit": lambda: make_app(ROOT / "services" / "cas_service" / "alembic.ini", routers=[router, evidence]),
    "cds-client": lambda: make_app(ROOT / "services" / "client_service" / "alembic.ini"),
}
ROUTES = [(name, method, path) for name, make in MADE.items() for method, path in routes_of(make().routes)]
CHANGING = [each for each in ROUTES if each[1] not in SAFE]
READING = [each for each in ROUTES if each[1] in SAFE and each[2] not in ALWAYS_OPEN]
every_changing_route = pytest.mark.parametrize(("name", "method", "path"), CHANGING, ids=" ".join)
every_reading_route = pytest.mark.parametrize(("name", "method", "path"), READING, ids=" ".join)


def test_these_are_all_the_routes_that_change_something_but_the_coordinators_own() -> None:
    """Its doors are for people and pipelines: see below, and `test_who_may_call`."""
    assert {each for each in WRITING if each[0] in MADE} == set(CHANGING)
    assert {name for name, *_ in WRITING} == {*MADE, "coordinator", "serve"}
    assert {each[2] for each in CHANGING} == {"/audit/events", "/migrations/operations", "/migrations/operations/x"}


# An event is known by its signature inside, and the answer to daprd has always the status 200; a word that is no verb
# is no route.
WITHOUT_CALLER = {
    "/events/migrate-requested",
    "/events/migrate-requested-dead",
    "/events/migrate-command",
    "/migrations/x/x",
}
OF_THE_COORDINATOR = [each[1:] for each in EVERY_ROUTE if each[0] == "coordinator"]


@pytest.mark.parametrize(("method", "path"), OF_THE_COORDINATOR, ids=" ".join)
async def test_of_the_coordinators_routes_those_are_open_that_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    monkeypatch.setenv("CALL_SIGNATURES", "required")
    monkeypatch.setenv("CALL_KEYS", str(tmp_path))
    expected = (method not in SAFE and path not in WITHOUT_CALLER) or path.startswith(
        ("/audit/", "/dead-letters", "/journals/")
    )
    app = coordinator.create_app()
    async with DaprHttpClient(9) as nothing_there:
        coordinator._wire(app, Settings(), read_catalog((ROOT / "fleet.toml").read_text()), nothing_there)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            answer = await client.request(method, path, **({"json": {}} if method == "POST" else {}))
    assert (answer.status_code == 401) is expected
    if method == "POST" and path.startswith("/events/"):
        assert answer.json()["status"] != "SUCCESS"


@dataclass
class Door:
    """One application that demands signatures, and everybody's keys."""

    app: FastAPI
    audience: str
    keys: Path

    def key(self, name: str = "migration-coordinator") -> SigningKey:
        return make_key(self.keys, name)

    def require(self, *, reads: bool = False, keys: bool = True) -> None:
        calls = CallSettings(required=True, reads_required=reads, keys=public_folder(self.keys) if keys else None)
        self.app.state.call_policy = CallPolicy(calls, self.audience)
        self.app.state.permitted_callers = frozenset({"migration-coordinator", "operator"})

    async def send(self, call: Call, headers: dict[str, str]) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            headers = {"content-type": "application/json", **headers}
            return await client.request(call.method, call.target, content=call.body, headers=headers)


@pytest.fixture
def open_door(tmp_path: Path) -> Callable[[str], Door]:
    def open_one(name: str) -> Door:
        door = Door(MADE[name](), name, tmp_path / "keys")
        door.key()
        door.require()
        return door

    return open_one


def a_call(name: str, method: str, path: str) -> Call:
    """Its body is JSON that no route takes: whoever gets through is told so, and nothing is done."""
    return Call(method, path, name, b"[]" if method == "POST" else b"")


def signed_by_a_stranger(door: Door, call: Call) -> dict[str, str]:
    return make_key(door.keys.with_name("strangers"), "migration-coordinator").sign(call)


def signed_long_ago(door: Door, call: Call) -> dict[str, str]:
    return door.key().sign(call, clock=lambda: time.time() - 61)


def signed_for_later(door: Door, call: Call) -> dict[str, str]:
    return door.key().sign(call, clock=lambda: time.time() + 120)


def with_another_keys_id(door: Door, call: Call) -> dict[str, str]:
    headers = signed_by_a_stranger(door, call)
    theirs, ours = make_key(door.keys.with_name("strangers"), "migration-coordinator").key_id, door.key().key_id
    return headers | {"signature-input": headers["signature-input"].replace(theirs, ours)}


def without_one_header(door: Door, call: Call) -> dict[str, str]:
    headers = door.key().sign(call)
    del headers["content-digest"]
    return headers


REFUSED: dict[str, Callable[[Door, Call], dict[str, str]]] = {
    "no key": lambda door, call: {},
    "only a header that names a caller": lambda door, call: {"dapr-caller-app-id": "migration-coordinator"},
    "a stranger's key": signed_by_a_stranger,
    "a stranger's key under our id": with_another_keys_id,
    "another body": lambda door, call: door.key().sign(replace(call, body=b'{"services": "all"}')),
    "another audience": lambda door, call: door.key().sign(replace(call, audience="cds-task")),
    "another method": lambda door, call: door.key().sign(replace(call, method="PATCH")),
    "another path": lambda door, call: door.key().sign(replace(call, target=f"{call.target}/")),
    "another query": lambda door, call: door.key().sign(replace(call, target=f"{call.target}?wait_seconds=1")),
    "a minute too old": signed_long_ago,
    "two minutes too early": signed_for_later,
    "a header less": without_one_header,
}


# So the coordinator goes on asking, with a new signature each time, where a key is being changed or a proxy was slow.
MAY_PASS_LATER = {"a stranger's key", "a minute too old", "two minutes too early"}


@every_changing_route
@pytest.mark.parametrize("attack", REFUSED)
async def test_whoever_is_not_the_caller_is_refused(
    open_door: Callable[[str], Door], name: str, method: str, path: str, attack: str
) -> None:
    door, call = open_door(name), a_call(name, method, path)
    answer = await door.send(call, REFUSED[attack](door, call))
    assert (answer.status_code, answer.json()["code"]) == (401, "CM-108")
    assert answer.json()["retryable"] is (attack in MAY_PASS_LATER)
    assert answer.headers["www-authenticate"] == "Signature"
    assert answer.headers["content-type"] == "application/problem+json"


@every_changing_route
async def test_the_caller_gets_through_once(
    open_door: Callable[[str], Door], name: str, method: str, path: str
) -> None:
    door, call = open_door(name), a_call(name, method, path)
    headers = door.key().sign(call)
    assert (await door.send(call, headers)).status_code not in (401, 403)
    answer = await door.send(call, headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "CM-108")
    assert answer.json()["retryable"]
    assert (await door.send(call, door.key().sign(call))).status_code not in (401, 403)


@pytest.mark.parametrize(("method", "path"), [each[1:] for each in CHANGING if each[0] == "cds-client"])
async def test_a_service_takes_operations_from_its_coordinator_and_from_nobody_else(
    open_door: Callable[[str], Door], method: str, path: str
) -> None:
    door, call = open_door("cds-client"), a_call("cds-client", method, path)
    for other in ("cds-task", "cas-audit", "cds-client"):
        answer = await door.send(call, door.key(other).sign(call))
        assert (answer.status_code, answer.json()["code"]) == (403, "CM-109")
    assert (await door.send(call, door.key("operator").sign(call))).status_code not in (401, 403)


def a_batch(*sources: str) -> bytes:
    events = [
        f'{{"event_id":"00000000-0000-4000-8000-{number:012}","event_type":"migration.started",'
        f'"occurred_at":"2026-01-02T03:04:05Z","source":"{source}"}}'
        for number, source in enumerate(sources)
    ]
    return f'{{"events":[{",".join(events)}]}}'.encode()


@pytest.mark.parametrize(
    ("caller", "sources"),
    [
        ("cds-task", ["migration-coordinator"]),
        ("cds-task", ["cds-client/journal"]),
        ("cds-task", ["cds-task/journal", "migration-coordinator"]),
        ("migration-coordinator", ["cds-task/journal"]),
        ("migration-coordinator", ["cas-audit"]),
        ("cds-task", ["cds-task/journal/journal"]),
        ("cds-task", ["../migration-coordinator"]),
        ("cds-task", [""]),
        ("cds-task", ["/journal"]),
    ],
)
async def test_nobody_records_an_event_of_another_source(
    open_door: Callable[[str], Door], caller: str, sources: list[str]
) -> None:
    """Without a database: it is refused before anything could be stored."""
    door = open_door("cas-audit")
    call = Call("POST", "/audit/events", "cas-audit", a_batch(*sources))
    answer = await door.send(call, door.key(caller).sign(call))
    assert (answer.status_code, answer.json()["code"]) == (403, "CM-109")


@every_reading_route
async def test_reading_is_open_unless_it_is_confidential_or_is_to_be_signed(
    open_door: Callable[[str], Door], name: str, method: str, path: str
) -> None:
    door, call = open_door(name), a_call(name, method, path)
    assert ((await door.send(call, {})).status_code == 401) is path.startswith(CONFIDENTIAL)
    assert (await door.send(call, door.key("cds-task").sign(call))).status_code not in (401, 403)
    door.require(reads=True)
    assert (await door.send(call, {})).status_code == 401
    assert (await door.send(call, door.key("cds-task").sign(call))).status_code not in (401, 403)


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("path", sorted(ALWAYS_OPEN))
async def test_a_probe_needs_no_key(open_door: Callable[[str], Door], name: str, path: str) -> None:
    door = open_door(name)
    door.require(reads=True)
    assert (await door.send(Call("GET", path, name), {})).status_code not in (401, 403)


@every_changing_route
async def test_without_a_folder_of_keys_nobody_gets_through_and_the_answer_names_the_setting(
    open_door: Callable[[str], Door], name: str, method: str, path: str
) -> None:
    door, call = open_door(name), a_call(name, method, path)
    door.require(keys=False)
    answer = await door.send(call, door.key().sign(call))
    assert (answer.status_code, answer.json()["code"]) == (401, "CM-108")
    assert "CALL_KEYS" in answer.json()["next_step"]


@every_changing_route
async def test_an_application_without_a_policy_believes_nobody(
    open_door: Callable[[str], Door], name: str, method: str, path: str
) -> None:
    """Such as a router of ours in somebody's own application."""
    door, call = open_door(name), a_call(name, method, path)
    del door.app.state.call_policy
    assert (await door.send(call, door.key().sign(call))).status_code == 401


async def test_a_stranger_cannot_make_us_read_a_body(open_door: Callable[[str], Door]) -> None:
    door, call = open_door("cas-audit"), a_call("cas-audit", "POST", "/audit/events")
    read: list[int] = []

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(64):
            read.append(1)
            yield b" " * 65536

    transport = httpx.ASGITransport(door.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        headers = {"content-type": "application/json", **signed_by_a_stranger(door, call)}
        answer = await client.post("/audit/events", content=endless(), headers=headers)
        assert answer.status_code == 401
        unproven = len(read)
        headers = {"content-type": "application/json", **door.key().sign(call)}
        answer = await client.post("/audit/events", content=endless(), headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (413, "CM-106")
    assert unproven <= 1
    assert len(read) < 64


async def test_a_services_own_routes_are_its_own_affair(open_door: Callable[[str], Door]) -> None:
    own = APIRouter()

    @own.post("/orders")
    async def order() -> str:
        return "taken"

    door = open_door("cds-client")
    door.app = make_app(ROOT / "services" / "client_service" / "alembic.ini", routers=[own])
    door.require()
    assert (await door.send(Call("POST", "/orders", "cds-client", b"{}"), {})).json() == "taken"


def test_an_application_that_checks_nobody_says_so() -> None:
    assert CallPolicy(CallSettings(required=False), "a").remark == REMARK
    assert CallPolicy(CallSettings(required=True), "a").remark == ""
