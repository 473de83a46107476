"""In a whole fleet everybody signs, strangers get nothing from any service, and keys change while it runs."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

import httpx
import pytest

from scripts.infrastructure.catalog import members
from scripts.infrastructure.fleet import COORDINATOR
from scripts.infrastructure.render import read_fleet
from signed_calls.__main__ import SEEN_SECONDS
from signed_calls.key_folder import NextKey, make_key, retire_old_keys
from signed_calls.sidecar_token import HEADER
from signed_calls.signature import Call
from tests.end_to_end.ground import Ground

FORGED = {
    "events": [
        {
            "event_id": str(uuid4()),
            "event_type": "migration.requested",
            "occurred_at": "2026-01-02T03:04:05Z",
            "source": COORDINATOR,
            "request_id": "never-was",
            "actor": "bob",
        }
    ]
}
ORDER = {"operation_id": "a-strangers", "target": "head"}
ASKED: list[tuple[str, str, str, Any]] = [("cas-audit", "POST", "/audit/events", FORGED)]
ASKED += [
    (COORDINATOR, "POST", path, {"services": "all"}) for path in ("/migrations", "/plans", "/migrations/x/cancel")
]
ASKED.append((COORDINATOR, "POST", "/audit/acknowledgements", {"seq": 1, "reason": "I say so"}))
ASKED += [(COORDINATOR, "GET", path, None) for path in ("/audit/events", "/journals/cas-audit")]
for each in members():
    ASKED.append((each.name, "POST", "/migrations/operations", ORDER))
    ASKED.append((each.name, "DELETE", "/migrations/operations/a-strangers", None))


def doors_of(ground: Ground, name: str) -> list[tuple[str, dict[str, str]]]:
    """The application's own port, its own daprd, and the coordinator's, each with the token that it demands."""
    application = read_fleet(ground.fleet.file)[name]
    through = f"v1.0/invoke/{name}/method"
    return [
        (f"http://127.0.0.1:{application['appPort']}", ground.token_of(name)),
        (f"http://127.0.0.1:{application['daprHTTPPort']}/{through}", ground.token_of(name)),
        (f"{ground.sidecar}/{through}", ground.token),
    ]


def test_a_stranger_gets_nothing_from_any_service_through_any_port(ground: Ground) -> None:
    named = {"dapr-caller-app-id": COORDINATOR, "content-type": "application/json"}
    for name, method, path, body in ASKED:
        for door, token in doors_of(ground, name):
            answer = httpx.request(method, door + path, json=body, headers={**named, **token}, timeout=30)
            assert (door, path, answer.status_code, answer.json()["code"]) == (door, path, 401, "CM-108")
    request = f"after-{uuid4()}"
    ground.publish({"request_id": request, "services": "all"})
    assert ground.ended(request)["state"] == "succeeded"
    assert ground.audit("never-was") == []


def test_the_tokens_of_one_application_open_no_other(ground: Ground) -> None:
    tokens = {
        name: ground.infrastructure.settings.dapr_tokens.environment(name) for name in read_fleet(ground.fleet.file)
    }
    values = [value for each in tokens.values() for value in each.values()]
    assert len(set(values)) == len(values) == 2 * len(tokens)
    for name in tokens:
        url = f"http://127.0.0.1:{read_fleet(ground.fleet.file)[name]['daprHTTPPort']}/v1.0/metadata"
        for value in values:
            status = httpx.get(url, headers={HEADER: value}, timeout=30).status_code
            assert (name, status) == (name, 200 if value == tokens[name]["DAPR_API_TOKEN"] else 401)
        assert tokens[name].items() <= ground.daprd(name).environ().items()
        assert not set(values) & set(ground.application(name).environ().values())


def signed(ground: Ground, name: str, audience: str, path: str, body: Any) -> httpx.Response:
    """One call by one of those who have a key, through the coordinator's daprd."""
    content = httpx.Request("POST", "http://x", json=body).content
    key = make_key(ground.infrastructure.settings.keys_folder, name)
    headers = {"content-type": "application/json", **key.sign(Call("POST", path, audience, content)), **ground.token}
    url = f"{ground.sidecar}/v1.0/invoke/{audience}/method{path}"
    return httpx.post(url, content=content, headers=headers, timeout=30)


def test_one_service_can_neither_migrate_another_nor_speak_for_it_in_the_audit(ground: Ground) -> None:
    order = signed(ground, "cds-task", "cds-client", "/migrations/operations", ORDER)
    assert (order.status_code, order.json()["code"]) == (403, "CM-109")
    for source in (COORDINATOR, "cds-client/journal"):
        events = {"events": [{**FORGED["events"][0], "source": source}]}
        told = signed(ground, "cds-task", "cas-audit", "/audit/events", events)
        assert (told.status_code, told.json()["code"]) == (403, "CM-109")


@pytest.mark.parametrize("name", [COORDINATOR, "cds-product"])
def test_a_key_changes_while_the_fleet_runs(ground: Ground, name: str) -> None:
    folder = ground.infrastructure.settings.keys_folder
    first, second = f"first-{uuid4()}", f"second-{uuid4()}"
    ground.publish({"request_id": first, "services": "all"})
    assert ground.ended(first)["state"] == "succeeded"
    following = NextKey(folder, name)
    following.publish()
    time.sleep(SEEN_SECONDS)
    following.use()
    time.sleep(SEEN_SECONDS)
    assert len(retire_old_keys(folder, name)) == 1
    time.sleep(SEEN_SECONDS)
    file = ground.add_revision("product_service", "after_the_change", "pass")
    try:
        ground.publish({"request_id": second, "services": "all"})
        run = ground.ended(second)
        assert run["state"] == "succeeded"
        assert [step["service"] for step in run["steps"] if step["state"] == "succeeded"] == ["cds-product"]
        ground.audit_when(second, lambda events: any(each["event_type"] == "revision.applied" for each in events))
    finally:
        file.unlink()
