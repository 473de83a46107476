"""What the shell learns from a command."""

from __future__ import annotations

import pytest

from tests.unit.coordinator.cli.conftest import RunCommand
from tests.unit.coordinator.cli.scripted_coordinator import ScriptedCoordinator, problem, run_record, step

ENDS = {
    "succeeded": 0,
    "planned": 0,
    "failed": 1,
    "cancelled": 1,
    "compensated": 1,
    "needs_attention": 4,
    "awaiting_approval": 4,
    "paused": 4,
}


@pytest.mark.parametrize(("state", "code"), ENDS.items())
def test_watching_ends_with_the_code_of_the_run(
    coordinator: ScriptedCoordinator, command: RunCommand, state: str, code: int
) -> None:
    coordinator.answers("GET /migrations/release-41", (200, run_record("running")), (200, run_record(state)))
    assert command("watch", "release-41").exit_code == code


@pytest.mark.parametrize(("state", "code"), {**ENDS, "running": 0, "accepted": 0}.items())
def test_status_tells_how_the_run_stands(
    coordinator: ScriptedCoordinator, command: RunCommand, state: str, code: int
) -> None:
    coordinator.answers("GET /migrations/release-41", (200, run_record(state)))
    assert command("status", "release-41").exit_code == code


def test_a_request_is_done_once_it_is_accepted(coordinator: ScriptedCoordinator, command: RunCommand) -> None:
    coordinator.answers("POST /migrations", (202, run_record("accepted")))
    assert command("request", "--all").exit_code == 0


def test_a_watched_request_ends_with_the_code_of_its_run(coordinator: ScriptedCoordinator, command: RunCommand) -> None:
    coordinator.answers("POST /migrations", (202, run_record("accepted")))
    coordinator.answers("GET /migrations/release-41", (200, run_record("failed")))
    assert command("request", "--all", "--watch", "--request-id", "release-41").exit_code == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["request"],
        ["request", "cds-client", "--all"],
        ["request", "--target", "cds-client"],
        ["request", "--all", "--request-id", "a/b"],
        ["request", "--all", "--request-id", ""],
        ["request", "--all", "--request-id", "x" * 65],
        ["status", "../fleet"],
        ["watch", "ä"],
        ["runs", "--limit", "0"],
        ["plan"],
        ["nonsense"],
        ["audit", "list", "--limit", "many"],
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(
    coordinator: ScriptedCoordinator, command: RunCommand, arguments: list[str]
) -> None:
    assert command(*arguments).exit_code == 2
    assert coordinator.asked == []


@pytest.mark.parametrize(
    ("status", "code"), [(400, 2), (404, 2), (409, 2), (413, 2), (422, 2), (429, 3), (500, 3), (503, 3)]
)
def test_a_refusal_is_bad_input_unless_the_coordinator_is_at_fault(
    coordinator: ScriptedCoordinator, command: RunCommand, status: int, code: int
) -> None:
    coordinator.answers("POST /migrations", (status, problem("CM-201", "No service cds-cleint in this fleet")))
    result = command("request", "cds-cleint")
    assert result.exit_code == code
    assert result.stderr.split("\n")[:3] == [
        "CM-201 No service cds-cleint in this fleet",
        "  why   because",
        "  next  do this",
    ]


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (500, {"errorCode": "ERR_DIRECT_INVOKE", "message": "no host found with the given ID"}, "knows no app"),
        (
            500,
            {"errorCode": "ERR_DIRECT_INVOKE", "message": "dial: connection refused"},
            "its process is probably gone",
        ),
        (500, {"errorCode": "ERR_DIRECT_INVOKE", "message": "context deadline exceeded"}, "deadline exceeded"),
        (401, {"errorCode": "x", "message": "invalid api token"}, "DAPR_API_TOKEN"),
        (404, {"detail": "Not Found"}, "not the coordinator"),
        (200, b"<html>", "not the coordinator"),
        (200, b"\xff\xfe", "not the coordinator"),
        (302, b"", "not the coordinator"),
    ],
)
def test_whatever_the_coordinator_did_not_say_itself_means_it_was_not_reached(
    coordinator: ScriptedCoordinator, command: RunCommand, status: int, answer: object, said: str
) -> None:
    coordinator.answers("GET /fleet", (status, answer))
    result = command("fleet")
    assert result.exit_code == 3
    assert said in result.stderr


def test_nobody_listening_is_said_with_the_address_and_without_its_password(
    monkeypatch: pytest.MonkeyPatch, command: RunCommand
) -> None:
    monkeypatch.setenv("COORDINATOR_URL", "http://somebody:canary@127.0.0.1:9")
    result = command("fleet")
    assert result.exit_code == 3
    assert "nothing answers at http://127.0.0.1:9" in result.stderr
    assert "canary" not in result.stderr


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "ftp://host", "http://", "http://[::1"])
def test_an_address_that_is_none_is_bad_input(
    monkeypatch: pytest.MonkeyPatch, command: RunCommand, address: str
) -> None:
    monkeypatch.setenv("COORDINATOR_URL", address)
    assert command("fleet").exit_code == 2


def test_an_answer_of_another_shape_is_no_crash(coordinator: ScriptedCoordinator, command: RunCommand) -> None:
    coordinator.answers("GET /migrations/release-41", (200, run_record("running") | {"steps": "nine"}))
    result = command("status", "release-41")
    assert result.exit_code == 3
    assert "steps is not what it should be" in result.stderr


def test_a_plan_with_an_obstacle_needs_a_person(coordinator: ScriptedCoordinator, command: RunCommand) -> None:
    plan = {"service": "cds-client", "database": "cds_client", "from": [], "to": ["0c3"], "revisions": []}
    obstacle = problem("CM-301", "Two heads", service="cds-task")
    coordinator.answers("POST /plans", (200, {"services": [plan], "obstacles": [obstacle]}))
    result = command("plan", "--all")
    assert result.exit_code == 4
    assert "cds-client (cds_client)  nothing to do, at nothing" in result.stdout
    assert "cds-task\n  CM-301 Two heads" in result.stdout


def test_a_fleet_with_a_silent_service_is_not_all_reached(
    coordinator: ScriptedCoordinator, command: RunCommand
) -> None:
    services = [{"service": "cds-client", "state": "at_head"}, {"service": "cds-task", "state": "unreachable"}]
    coordinator.answers("GET /fleet", (200, {"services": services}))
    assert command("fleet").exit_code == 3


def test_a_failed_step_is_explained(coordinator: ScriptedCoordinator, command: RunCommand) -> None:
    error = problem("CM-401", "Revision 0b2 failed", revision="0b2", sqlstate="42P07")
    record = run_record("failed", step("cds-client", "failed", error=error), step("cds-task", "skipped"), error=error)
    coordinator.answers("GET /migrations/release-41", (200, record))
    shown = command("status", "release-41").stdout
    assert "cds-client, revision 0b2, SQLSTATE 42P07" in shown
    assert "next  do this" in shown
    assert shown.count("CM-401") == 1


def test_everything_that_stood_in_the_way_is_named_once_with_every_why(
    coordinator: ScriptedCoordinator, command: RunCommand
) -> None:
    obstacles = [problem("CM-511", "No such database", service="cds-client", detail="the database is missing")]
    obstacles += [problem("CM-301", "Two heads", service="cds-task", detail="there are two heads")]
    error = problem("CM-204", "The run was not started", detail="the database is missing; there are two heads")
    skipped = [step("cds-client", "skipped", error=obstacles[0]), step("cds-task", "skipped", error=obstacles[1])]
    record = run_record("failed", *skipped, obstacles=obstacles, error=error)
    coordinator.answers("GET /migrations/release-41", (200, record))
    shown = command("status", "release-41").stdout
    assert shown.count("the database is missing") == 1
    assert shown.count("there are two heads") == 1
    assert "CM-204 The run was not started\n  why   2 obstacles found before any database was touched" in shown
    assert "cds-client\n  CM-511 No such database" in shown
