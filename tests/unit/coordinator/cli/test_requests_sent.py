"""What goes over the wire, and to whom."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from signed_calls.sidecar_token import FILE
from tests.unit.coordinator.cli.conftest import RunCommand
from tests.unit.coordinator.cli.scripted_coordinator import ScriptedCoordinator, run_record

BEHIND_THE_SIDECAR = "/v1.0/invoke/migration-coordinator/method"


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("LOGNAME", "ada")
    return "ada"


def test_a_request_carries_what_was_said_and_who_said_it(
    coordinator: ScriptedCoordinator, command: RunCommand, user: str
) -> None:
    coordinator.answers("POST /migrations", (202, run_record("accepted")))
    command("request", "cds-client", "cds-task", "--request-id", "release-41", "--reason", "release 41", "--dry-run")
    assert coordinator.asked[0].body == {
        "request_id": "release-41",
        "services": ["cds-client", "cds-task"],
        "requested_by": user,
        "reason": "release 41",
        "dry_run": True,
    }


def test_what_was_not_said_is_left_to_the_coordinators_defaults(
    coordinator: ScriptedCoordinator, command: RunCommand, user: str
) -> None:
    coordinator.answers("POST /migrations", (202, run_record("accepted")))
    command("request", "--all")
    body = coordinator.asked[0].body
    assert UUID(body.pop("request_id"))
    assert body == {"services": "all", "requested_by": user}


def test_naming_a_target_names_its_service(coordinator: ScriptedCoordinator, command: RunCommand) -> None:
    coordinator.answers("POST /migrations", (202, run_record("accepted")))
    command("request", "--target", "cds-client=0c3", "--target", "cds-task=0f1")
    body = coordinator.asked[0].body
    assert (body["services"], body["target"]) == (["cds-client", "cds-task"], {"cds-client": "0c3", "cds-task": "0f1"})


@pytest.mark.parametrize("door", [("request", "POST /migrations"), ("plan", "POST /plans")])
def test_whose_tables_are_other_peoples_is_said_by_the_name_of_the_service(
    coordinator: ScriptedCoordinator, command: RunCommand, door: tuple[str, str]
) -> None:
    word, route = door
    plan = {"digest": "0", "services": [], "obstacles": []}
    coordinator.answers(route, (202, run_record("accepted")) if word == "request" else (200, plan))
    command(word, "--all", "--beside-other-tables", "cds-client", "--beside-other-tables", "cds-task")
    assert coordinator.asked[0].body["beside_other_tables"] == ["cds-client", "cds-task"]


@pytest.mark.parametrize(
    ("words", "target"),
    [
        (["--all", "--target", "heads"], "heads"),
        (["--all", "--target", "head"], "head"),
        (["stock", "--target", "stock=heads"], {"stock": "heads"}),
        (["--target", "stock=heads"], {"stock": "heads"}),
        (["--target", "stock=a lane=1@head"], {"stock": "a lane=1@head"}),
    ],
)
def test_all_heads_are_a_target_for_all_or_for_one(
    coordinator: ScriptedCoordinator, command: RunCommand, words: list[str], target: object
) -> None:
    coordinator.answers("POST /migrations", (202, run_record("accepted")))
    assert command("request", *words).exit_code == 0
    assert coordinator.asked[0].body["target"] == target


@pytest.mark.parametrize(
    "words",
    [
        ["--all", "--target", "heads", "--target", "stock=r1"],
        ["--all", "--target", "heads", "--target", "head"],
        ["--target", "heads"],
        ["--all", "--target", "r1"],
        ["--all", "--target", "stock="],
    ],
)
def test_a_target_that_says_not_for_whom_or_twice_is_no_target(
    coordinator: ScriptedCoordinator, command: RunCommand, words: list[str]
) -> None:
    assert command("request", *words).exit_code == 2
    assert not coordinator.asked


def test_a_request_whose_answer_was_lost_is_repeated_under_the_same_id(
    coordinator: ScriptedCoordinator, command: RunCommand
) -> None:
    coordinator.answers("POST /migrations", (0, None), (202, run_record("accepted")))
    assert command("request", "--all").exit_code == 0
    first, second = coordinator.asked
    assert first.body == second.body


def test_an_answer_that_stays_lost_ends_the_command(coordinator: ScriptedCoordinator, command: RunCommand) -> None:
    coordinator.answers("POST /migrations", (0, None))
    result = command("request", "--all")
    assert result.exit_code == 3
    assert "repeating it is safe" in result.stderr


def test_an_application_that_is_only_starting_is_waited_for(
    coordinator: ScriptedCoordinator, command: RunCommand
) -> None:
    starting = (500, {"errorCode": "ERR_DIRECT_INVOKE", "message": "dial: connection refused"})
    coordinator.answers("GET /fleet", starting, starting, (200, {"services": []}))
    assert command("fleet").exit_code == 0


@pytest.mark.parametrize("watching", [[], ["--watch"], ["--json"]])
def test_a_request_id_of_a_former_request_is_told_from_a_new_success(
    coordinator: ScriptedCoordinator, command: RunCommand, watching: list[str]
) -> None:
    known = run_record("succeeded", version=9)
    coordinator.answers("POST /migrations", (202, known))
    coordinator.answers("GET /migrations/release-41", (200, known))
    result = command("request", "--all", "--request-id", "release-41", *watching)
    assert "was accepted at 2026-11-22 15:00:00Z already and is done (succeeded)" in result.stderr
    assert "A new request needs a new id" in result.stderr
    assert "Accepted as" not in result.stderr


def test_a_repeat_of_a_request_that_is_running_is_the_same_run(
    coordinator: ScriptedCoordinator, command: RunCommand
) -> None:
    coordinator.answers("POST /migrations", (202, run_record("running", version=3)))
    assert "is running: this is the same run" in command("request", "--all").stderr


def test_a_new_request_is_not_taken_for_an_old_one_whatever_the_clocks_say(
    coordinator: ScriptedCoordinator, command: RunCommand
) -> None:
    coordinator.answers("POST /migrations", (202, run_record("accepted", version=1)))
    assert "already" not in command("request", "--all").stderr


def test_our_own_repeat_after_a_lost_answer_is_not_called_an_old_request(
    coordinator: ScriptedCoordinator, command: RunCommand
) -> None:
    since = run_record("running", version=3, accepted_at="2999-01-01T00:00:00Z")
    coordinator.answers("POST /migrations", (0, None), (202, since))
    assert "already" not in command("request", "--all").stderr


def test_filters_are_passed_on_under_the_names_of_the_routes(
    coordinator: ScriptedCoordinator, command: RunCommand
) -> None:
    coordinator.answers("GET /audit/events", (200, {"events": []}))
    command("audit", "list", "--request", "r1", "--service", "cds-task", "--type", "migration.finished", "--limit", "7")
    expected = {"request_id": "r1", "service": "cds-task", "type": "migration.finished", "limit": "7"}
    assert coordinator.asked[0].parameters == expected


def test_sql_is_asked_for_only_when_it_was_wanted(coordinator: ScriptedCoordinator, command: RunCommand) -> None:
    coordinator.answers("POST /plans", (200, {"services": []}))
    command("plan", "--all")
    command("plan", "--all", "--sql")
    assert [asked.parameters for asked in coordinator.asked] == [{}, {"sql": "true"}]
    assert [asked.body for asked in coordinator.asked] == [{"services": "all"}, {"services": "all"}]


def test_without_an_address_the_sidecar_is_asked_and_shown_the_token(
    coordinator: ScriptedCoordinator, command: RunCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COORDINATOR_URL")
    monkeypatch.setenv("DAPR_HTTP_PORT", str(urlsplit(coordinator.url).port))
    monkeypatch.setenv("DAPR_API_TOKEN", "token")
    coordinator.answers(f"GET {BEHIND_THE_SIDECAR}/fleet", (200, {"services": []}))
    assert command("fleet").exit_code == 0
    assert coordinator.asked[0].headers["dapr-api-token"] == "token"


def test_without_the_variable_the_token_of_the_fleet_that_was_started_here_is_shown(
    coordinator: ScriptedCoordinator, command: RunCommand, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / FILE).parent.mkdir(parents=True)
    (tmp_path / FILE).write_text("made by infra up")
    monkeypatch.setenv("RMBRAIN_STATE_DIR", str(tmp_path))
    monkeypatch.delenv("COORDINATOR_URL")
    monkeypatch.setenv("DAPR_HTTP_PORT", str(urlsplit(coordinator.url).port))
    coordinator.answers(f"GET {BEHIND_THE_SIDECAR}/fleet", (200, {"services": []}))
    assert command("fleet").exit_code == 0
    assert coordinator.asked[0].headers["dapr-api-token"] == "made by infra up"


def test_the_sidecars_token_is_shown_to_nobody_else(
    coordinator: ScriptedCoordinator, command: RunCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAPR_API_TOKEN", "token")
    coordinator.answers("GET /fleet", (200, {"services": []}))
    command("fleet")
    assert "dapr-api-token" not in coordinator.asked[0].headers


def test_a_proxy_for_the_internet_is_not_used(
    coordinator: ScriptedCoordinator, command: RunCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    coordinator.answers("GET /fleet", (200, {"services": []}))
    assert command("fleet").exit_code == 0


def test_a_sidecar_port_that_is_no_number_is_bad_input(command: RunCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COORDINATOR_URL", raising=False)
    monkeypatch.setenv("DAPR_HTTP_PORT", "80@evil")
    assert command("fleet").exit_code == 2
