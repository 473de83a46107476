"""What a user of the fleet sees when a revision is broken or a message is."""

from __future__ import annotations

import time
from uuid import uuid4

import pytest

from tests.end_to_end.ground import SERVICES, Ground


def test_a_revision_that_fails_in_the_fourth_service_stops_there_and_a_repair_goes_on(ground: Ground) -> None:
    failed, repaired = f"broken-{uuid4()}", f"repaired-{uuid4()}"
    file = ground.add_revision("interaction_service", "broken", 'op.execute("SELECT 1/0")')
    try:
        ground.publish({"request_id": failed, "services": "all"})
        run = ground.ended(failed)

        assert run["state"] == "failed"
        states = {step["service"]: step["state"] for step in run["steps"]}
        assert list(states.values()) == ["succeeded"] * 3 + ["failed"] + ["skipped"] * 5
        error = run["steps"][3]["error"]
        assert (error["revision"], error["sqlstate"], error["code"]) == ("broken", "22012", "CM-401")
        assert error["next_step"]
        assert ground.revision("interaction_db") == "interaction_0005"
        assert ground.tables("cds_product") == set()

        file.write_text(file.read_text().replace("1/0", "1"))
        ground.publish({"request_id": repaired, "services": "all"})
        run = ground.ended(repaired)
        assert run["state"] == "succeeded"
        assert ground.revision("interaction_db") == "broken"
        assert [step["state"] for step in run["steps"]] == ["unchanged"] * 3 + ["succeeded"] * 6
    finally:
        file.unlink()


def test_one_obstacle_anywhere_means_that_no_database_is_touched(ground: Ground) -> None:
    request = f"obstacle-{uuid4()}"
    migrate_the_audit(ground)
    file = ground.add_revision("task_service", "unreadable", "op.execute(")
    try:
        ground.publish({"request_id": request, "services": "all"})
        run = ground.ended(request)

        assert run["state"] == "failed"
        assert any("9unreadable.py" in each["detail"] for each in run["obstacles"])
        assert ground.tables("cds_client") == set()
    finally:
        file.unlink()


BAD_EVENTS = {
    "not JSON": b"{services: all",
    "a wrong type": {"services": 42},
    "an unknown field": {"services": "all", "approved_by": "me"},
    "an unknown service": {"services": ["cds-nobody"]},
    "a service without a database": {"services": ["bff-service"]},
}


@pytest.mark.parametrize("body", BAD_EVENTS.values(), ids=BAD_EVENTS.keys())
def test_a_malformed_event_leaves_a_rejection_and_the_next_good_one_works(ground: Ground, body: object) -> None:
    migrate_the_audit(ground)
    ground.publish(body, id=f"bad-{uuid4()}")
    after = f"after-{uuid4()}"
    ground.publish({"request_id": after, "services": ["cds-client"]})
    assert ground.ended(after)["state"] == "succeeded"

    rejected = "SELECT count(*) FROM audit_events WHERE event_type = 'migration.rejected'"
    assert wait_for_one(ground, rejected) == 1


def migrate_the_audit(ground: Ground) -> None:
    """Until then refusals and failures wait to be recorded, as they should."""
    request = f"audit-{uuid4()}"
    ground.publish({"request_id": request, "services": ["cas-audit"]})
    ground.ended(request)


def wait_for_one(ground: Ground, statement: str) -> int:
    """As soon as there is any, or 0 after a minute: what is refused may have to wait for the audit."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        ((count,),) = ground.query("cas_audit", statement)
        if count:
            return int(count)
        time.sleep(0.2)
    return 0


def test_a_service_without_a_database_is_refused_with_its_reason(ground: Ground) -> None:
    answer = ground.ask("POST", "/migrations", json={"services": ["bff-service"]})

    assert (answer.status_code, answer.json()["code"]) == (422, "CM-201")
    assert "only calls other services" in answer.json()["detail"]


def test_every_service_answers_for_itself_in_the_fleet_view(ground: Ground) -> None:
    found = ground.ask("GET", "/fleet").json()["services"]

    assert [each["service"] for each in found if each.get("database")] == SERVICES
    assert {each["state"] for each in found if each.get("database")} == {"empty"}
