"""In a whole fleet: an event is refused, somebody finds it, and makes the one run of it that it asked for."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

import httpx

from scripts.infrastructure.fleet import COORDINATOR
from tests.end_to_end.accounting import asked
from tests.end_to_end.ground import Ground


def letters_of(ground: Ground, request_id: str, timeout_seconds: float = 60) -> list[dict[str, Any]]:
    """Once there is one."""
    deadline = time.monotonic() + timeout_seconds
    found: list[dict[str, Any]] = []
    while not found and time.monotonic() < deadline:
        code, page = asked(ground, "dead-letters", "list", "--limit", "100")
        assert code == 0, page
        found = [each for each in page["dead_letters"] if each["request_id"] == request_id]
    return found


def test_a_refused_event_is_found_by_whoever_asks_for_its_run_and_becomes_one_run(ground: Ground) -> None:
    first, again = f"r-{uuid4()}", f"again-{uuid4()}"
    ground.publish({"request_id": first, "services": ["cas-audit"]})
    assert ground.ended(first)["state"] == "succeeded"
    ground.publish({"request_id": first, "services": ["cds-client"], "reason": "see postgresql://u:canary@host"})
    (letter,) = letters_of(ground, first)
    assert (letter["reason"]["code"], letter["times"], letter["is_signed"]) == ("CM-601", 1, True)
    code, whole = asked(ground, "dead-letters", "show", letter["id"])
    assert (code, "cds-client" in whole["event"], "canary" in whole["event"]) == (0, True, False)

    code, refused = asked(ground, "dead-letters", "resubmit", letter["id"])
    assert (code, refused["code"]) == (2, "CM-601")
    for _ in range(2):
        code, run = asked(ground, "dead-letters", "resubmit", letter["id"], "--request-id", again, "--watch")
        assert (code, run["state"], run["caller"]) == (0, "succeeded", "operator")
        assert [step["service"] for step in run["steps"]] == ["cds-client"]
    code, refused = asked(ground, "dead-letters", "resubmit", letter["id"], "--request-id", f"third-{uuid4()}")
    assert (code, refused["code"]) == (2, "CM-605")

    assert asked(ground, "dead-letters", "show", letter["id"])[1]["run"]["request_id"] == again
    told = ground.audit_when(again, lambda events: any(each["event_type"] == "migration.finished" for each in events))
    (about,) = [each for each in told if each["event_type"] == "migration.resubmitted"]
    assert (about["actor"], about["detail"]["dead_letter"]) == ("operator", letter["id"])


def test_the_run_of_a_refused_event_leads_to_what_came_and_a_stranger_reads_none_of_it(ground: Ground) -> None:
    request = f"r-{uuid4()}"
    ground.publish({"request_id": request, "services": ["nobody"]})
    (letter,) = letters_of(ground, request)
    code, unknown = asked(ground, "status", request)
    assert (code, f"coordinator dead-letters show {letter['id']}" in unknown["next_step"]) == (2, True)
    method = f"{ground.sidecar}/v1.0/invoke/{COORDINATOR}/method"
    for path in ("/dead-letters", f"/dead-letters/{letter['id']}"):
        assert httpx.get(f"{method}{path}", headers=ground.token, timeout=30).status_code == 401
