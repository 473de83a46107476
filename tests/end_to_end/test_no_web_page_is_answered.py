"""What a browser on this machine could send, through daprd and past it, under real Dapr."""

from __future__ import annotations

from uuid import uuid4

import httpx

from scripts.infrastructure.render import read_fleet
from signed_calls.key_folder import make_key
from signed_calls.signature import Call
from tests.end_to_end.ground import COORDINATOR, Ground

PAGES = (
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
)
ROUTES = ("/migrations", "/plans", "/events/migrate-requested", "/events/migrate-requested-dead")


def test_no_request_of_a_web_page_passes_the_sidecar(ground: Ground) -> None:
    for route in ROUTES:
        for page in PAGES:
            answer = ground.ask("POST", route, json={"services": "all", "request_id": "from-a-page"}, headers=page)
            assert (route, page, answer.status_code) == (route, page, 403)
        for kind in ({"content-type": "text/plain"}, {}):
            answer = ground.ask("POST", route, content=b'{"services": "all"}', headers=kind)
            assert (route, kind, answer.status_code) == (route, kind, 415)
    assert ground.ask("GET", "/fleet", headers={"origin": "http://evil.example"}).status_code == 403
    assert ground.ask("GET", "/migrations/from-a-page").status_code == 404


def operators(ground: Ground, name: str, url: str, order: dict[str, str]) -> httpx.Response:
    """The same order, signed with the operator's key."""
    content = httpx.Request("POST", url, json=order).content
    key = make_key(ground.infrastructure.settings.keys_folder, "operator")
    signature = key.sign(Call("POST", "/migrations/operations", name, content))
    headers = {"content-type": "application/json", **signature, **ground.token}
    return httpx.post(url, content=content, headers=headers, timeout=30)


def test_no_service_takes_a_downgrade_through_any_sidecar(ground: Ground) -> None:
    request = f"up-{uuid4()}"
    ground.publish({"request_id": request, "services": "all"})
    assert ground.ended(request)["state"] == "succeeded"
    for name, target in (("cas-audit", "audit_0005"), ("cds-client", "client_0001")):
        url = f"{ground.sidecar}/v1.0/invoke/{name}/method/migrations/operations"
        order = {"operation_id": f"down-{uuid4()}", "action": "downgrade", "target": target}
        answer = httpx.post(url, json=order, headers=ground.token, timeout=30)
        assert (answer.status_code, answer.json()["code"]) == (401, "CM-108")
        # Nor by somebody who may give operations.
        answer = operators(ground, name, url, order)
        assert (answer.status_code, answer.json()["code"]) == (403, "CM-206")
    assert ground.ask("GET", "/audit/verify").json()["ok"] is True


def test_an_event_that_is_no_json_is_refused_on_the_record_and_not_delivered_for_ever(ground: Ground) -> None:
    """daprd puts it into a CloudEvent, so its type does not reach the application."""
    first, then = f"first-{uuid4()}", f"then-{uuid4()}"
    ground.publish({"request_id": first, "services": "all"})
    assert ground.ended(first)["state"] == "succeeded"
    url = f"{ground.sidecar}/v1.0/publish/pubsub/migrate.requested"
    refused, text = f"refused-{uuid4()}", {"content-type": "text/plain", **ground.token}
    parameters = {"metadata.cloudevent.id": refused}
    httpx.post(url, params=parameters, content=b"not JSON", headers=text, timeout=30).raise_for_status()
    ground.publish({"request_id": then, "services": "all"})
    assert ground.ended(then)["state"] == "succeeded"
    # By its id: what earlier tests had refused may still be on its way to the audit.
    assert ground.rejections_of(refused) == 1


def test_applications_are_called_by_names_of_this_machine_only(ground: Ground) -> None:
    for name in (COORDINATOR, "cas-audit", "cds-client"):
        port = read_fleet(ground.fleet.file)[name]["appPort"]
        for host in ("evil.example", "127.0.0.1.evil.example"):
            headers = {"host": f"{host}:{port}"}
            assert httpx.get(f"http://127.0.0.1:{port}/migrations", headers=headers).status_code == 403
        assert httpx.get(f"http://127.0.0.1:{port}/migrations").status_code == 200
