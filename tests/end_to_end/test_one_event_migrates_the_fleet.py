"""The main job, by every door, under real Dapr."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

from tests.end_to_end.ground import COORDINATOR, SERVICES, TABLES, Ground

PROGRAMS = Path(sys.prefix) / "bin"


def test_an_event_takes_nine_empty_databases_to_their_heads_and_a_second_one_changes_nothing(ground: Ground) -> None:
    first, second = f"first-{uuid4()}", f"second-{uuid4()}"
    ground.publish({"request_id": first, "services": "all", "requested_by": "release-bot"})
    run = ground.ended(first)

    assert run["state"] == "succeeded"
    assert [(step["service"], step["state"]) for step in run["steps"]] == [(name, "succeeded") for name in SERVICES]
    for database, tables in TABLES.items():
        assert ground.tables(database) == tables | {"alembic_version"}

    ground.publish({"request_id": second, "services": "all"})
    again = ground.ended(second)
    assert again["state"] == "succeeded"
    assert {step["state"] for step in again["steps"]} == {"unchanged"}


def test_steps_run_in_catalog_order_and_the_audit_tells_the_whole_story(ground: Ground) -> None:
    request = f"story-{uuid4()}"
    ground.publish({"request_id": request, "services": "all", "requested_by": "release-bot", "reason": "release 41"})
    run = ground.ended(request)
    wanted = sum(len(step["applied"]) for step in run["steps"])
    events = ground.audit_when(
        request, lambda found: sum(each["event_type"] == "revision.applied" for each in found) == wanted
    )

    started = [step["started_at"] for step in run["steps"]]
    assert started == sorted(started)
    for earlier, later in zip(run["steps"], run["steps"][1:], strict=False):
        assert earlier["finished_at"] <= later["started_at"]
    types = [each["event_type"] for each in events]
    # cas-audit's own journal may come in a moment before what the coordinator had kept for it.
    assert next(each for each in types if each.startswith("migration.")) == "migration.requested"
    for name in SERVICES:
        (finished,) = [
            each for each in events if each["event_type"] == "migration.step_finished" and each["service"] == name
        ]
        assert finished["outcome"] == "succeeded"
    assert types.count("migration.finished") == 1
    assert {each["actor"] for each in events} == {"release-bot"}
    applied = [each for each in events if each["event_type"] == "revision.applied"]
    assert len({each["event_id"] for each in applied}) == len(applied) == wanted
    assert all(each["detail"]["sha256"] for each in applied)


def test_dapr_publish_from_a_second_shell_needs_nothing_but_the_services(ground: Ground) -> None:
    listed = subprocess.run([PROGRAMS / "dapr", "list", "-o", "json"], check=True, capture_output=True, timeout=60)
    others = [each for each in json.loads(listed.stdout) if each["appId"] == COORDINATOR]
    # The CLI takes the first process with that app id.
    assert len(others) == 1, "another fleet runs on this machine: stop it with ./scripts/stop, then test"
    command = [PROGRAMS / "dapr", "publish", "--publish-app-id", COORDINATOR, "--pubsub", "pubsub"]
    command += ["--topic", "migrate.requested", "--data", json.dumps({"services": "all"})]
    known = runs(ground)
    subprocess.run(command, check=True, capture_output=True, timeout=60)

    deadline = time.monotonic() + 30
    while not (new := runs(ground) - known) and time.monotonic() < deadline:
        time.sleep(0.2)
    (request,) = new
    run = ground.ended(request)
    assert run["state"] == "succeeded"
    assert len(run["steps"]) == len(SERVICES)


def runs(ground: Ground) -> set[str]:
    return {each["request_id"] for each in ground.ask("GET", "/migrations").json()["runs"]}


def test_the_same_request_five_times_through_both_doors_is_one_run(ground: Ground) -> None:
    request = f"same-{uuid4()}"
    body = {"request_id": request, "services": "all", "requested_by": "twice"}
    ground.publish(body)
    answers = [ground.ask("POST", "/migrations", json=body)]
    ground.publish(body)
    answers.append(ground.ask("POST", "/migrations", json=body))
    ground.publish(body)
    ground.ended(request)
    answers.append(ground.ask("POST", "/migrations", json=body))

    assert [answer.status_code for answer in answers] == [202, 202, 202]
    assert len([each for each in ground.ask("GET", "/migrations").json()["runs"] if each["request_id"] == request]) == 1
    for database in TABLES:
        applied = ground.applied(database)
        assert len(applied) == len(set(applied))
    types = [each["event_type"] for each in ground.audit(request)]
    assert types.count("migration.requested") == types.count("migration.finished") == 1


def test_the_same_id_with_another_body_is_refused_and_recorded(ground: Ground) -> None:
    request = f"other-{uuid4()}"
    ground.ask("POST", "/migrations", json={"request_id": request, "services": "all"})
    ground.ended(request)
    answer = ground.ask("POST", "/migrations", json={"request_id": request, "services": ["cds-task"]})

    assert answer.status_code == 409
    assert answer.json()["code"] == "CM-601"
    ground.audit_when(request, lambda found: any(each["event_type"] == "migration.conflict" for each in found))


def test_a_dry_run_plans_everything_and_touches_nothing(ground: Ground) -> None:
    request = f"dry-{uuid4()}"
    ground.ask("POST", "/migrations", json={"request_id": request, "services": ["cds-client"], "dry_run": True})
    run = ground.run_when(request, lambda run: run["state"] == "planned")

    assert run["steps"][0]["to_revisions"] == ["client_0005"]
    assert ground.tables("cds_client") == set()
