"""Finding 8: daprd's internal gRPC port asks nobody for a token. Whoever calls there by hand gets nothing all the same.

The calls are those of one daprd to another, in any name, also from somebody who knows both tokens of Dapr.
"""

from __future__ import annotations

import json
from itertools import product
from typing import Any
from uuid import uuid4

import httpx
import pytest

from coordinator.api.subscriptions import TOPIC
from scripts.infrastructure.fleet import COORDINATOR
from scripts.infrastructure.render import read_fleet
from signed_calls.key_folder import make_key
from signed_calls.sidecar_token import HEADER
from signed_calls.signature import Call
from tests.end_to_end.ground import Ground
from tests.end_to_end.test_who_calls import ASKED
from tests.internal_port import Answer, call_by_hand

NAMES = [COORDINATOR, "operator", "cds-task", "release-tool", ""]
OPERATIONS = "/migrations/operations"


def internal_port(ground: Ground, name: str) -> int:
    return int(read_fleet(ground.fleet.file)[name]["daprInternalGRPCPort"])


def what_is_known(ground: Ground, name: str) -> list[dict[str, str]]:
    """Nothing; the token of this sidecar; that of the application."""
    tokens = ground.infrastructure.settings.dapr_tokens.environment(name)
    assert len(tokens) == 2
    return [{}, *({HEADER: token} for token in tokens.values())]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_call_by_hand_in_any_name_is_refused_because_it_is_not_signed(ground: Ground, streamed: bool) -> None:
    everything = ((*asked, known) for asked in ASKED for known in what_is_known(ground, asked[0]))
    for (name, method, path, body, known), caller in product(everything, NAMES):
        headers = {"dapr-caller-app-id": caller, **known}
        content = b"" if body is None else json.dumps(body).encode()
        port = internal_port(ground, name)
        answer = call_by_hand(port, method, path, content, headers, shown=known, streamed=streamed)
        if name == COORDINATOR:
            assert (answer.refused_by_daprd or "").startswith("PERMISSION_DENIED"), (path, caller, answer)
        else:
            assert (answer.status, answer.code) == (401, "CM-108"), (name, path, caller, answer)
            assert answer.body["detail"] == "It is not signed."
    request = f"after-{uuid4()}"
    ground.publish({"request_id": request, "services": "all"})
    run = ground.ended(request)
    assert {step["state"] for step in run["steps"]} == {"succeeded"}  # so nobody had migrated anything
    assert ground.audit("never-was") == []


@pytest.mark.parametrize("streamed", [False, True])
def test_nobody_posts_an_event_with_the_token_that_the_sidecar_adds(ground: Ground, streamed: bool) -> None:
    """An unsigned event is taken in this fleet, and daprd shows its application the token for every call."""
    request = f"by-hand-{uuid4()}"
    data = {"request_id": request, "services": "all"}
    event = {"specversion": "1.0", "id": request, "source": "by-hand", "type": "t", "topic": TOPIC, "data": data}
    paths = ("/events/migrate-requested", "/events/migrate-requested-dead")
    for path, known in product(paths, what_is_known(ground, COORDINATOR)):
        headers = {"content-type": "application/cloudevents+json", **known}
        content = json.dumps({**event, "pubsubname": "pubsub"}).encode()
        port = internal_port(ground, COORDINATOR)
        answer = call_by_hand(port, "POST", path, content, headers, shown=known, streamed=streamed)
        assert (answer.refused_by_daprd or "").startswith("PERMISSION_DENIED"), answer
    ground.publish({"request_id": f"after-{request}", "services": ["cas-audit"]})
    assert ground.ended(f"after-{request}")["state"] == "succeeded"
    assert ground.ask("GET", f"/migrations/{request}").status_code == 404


def test_the_same_call_gets_through_once_it_is_signed(ground: Ground) -> None:
    """Otherwise the tests above would show nothing: the calls are well made, and the port is open."""
    order = json.dumps({"operation_id": "by-hand", "target": "no-such-revision"}).encode()
    key = make_key(ground.infrastructure.settings.keys_folder, COORDINATOR)

    def send(name: str, headers: dict[str, str], content: bytes = order) -> Answer:
        return call_by_hand(internal_port(ground, name), "POST", OPERATIONS, content, headers)

    signed = key.sign(Call("POST", OPERATIONS, "cds-task", order))
    assert send("cds-task", signed).status == 422
    again: list[tuple[str, dict[str, str], Any]] = [
        ("cds-task", signed, order),
        ("cds-client", key.sign(Call("POST", OPERATIONS, "cds-task", order)), order),
        ("cds-task", key.sign(Call("POST", OPERATIONS, "cds-task", order)), order + b" "),
    ]
    for name, headers, content in again:
        assert (send(name, headers, content).status, send(name, headers, content).code) == (401, "CM-108")


def test_http_is_not_spoken_there(ground: Ground) -> None:
    for name in read_fleet(ground.fleet.file):
        url = f"http://127.0.0.1:{internal_port(ground, name)}/v1.0/invoke/{name}/method{OPERATIONS}"
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.post(url, json={}, headers={"content-type": "text/plain"}, timeout=10)
