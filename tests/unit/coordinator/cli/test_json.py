"""With --json, stdout holds one document and nothing else, whatever happens."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.coordinator.cli.conftest import RunCommand
from tests.unit.coordinator.cli.scripted_coordinator import ScriptedCoordinator, problem, run_record, step

HOSTILE = "\x1b[2J\x9b31m[red]\u202e\ud800"
RUN = run_record("succeeded", step("cds-client", "succeeded"), something_new={"kept": HOSTILE})
ROUTES: dict[str, Any] = {
    "POST /migrations": RUN,
    "GET /migrations": {"runs": [RUN], "next_cursor": "b"},
    "GET /migrations/release-41": RUN,
    "POST /plans": {"services": []},
    "GET /fleet": {"services": []},
    "GET /audit/events": {"events": [], "next_cursor": "c"},
    "GET /audit/events/57": {"seq": 57, "actor": HOSTILE},
    "GET /audit/runs/release-41": {"request_id": "release-41", "events": []},
}
COMMANDS = [
    (["request", "--all"], "POST /migrations"),
    (["request", "--all", "--watch", "--request-id", "release-41"], "GET /migrations/release-41"),
    (["runs"], "GET /migrations"),
    (["status", "release-41"], "GET /migrations/release-41"),
    (["watch", "release-41"], "GET /migrations/release-41"),
    (["plan", "--all", "--sql"], "POST /plans"),
    (["fleet"], "GET /fleet"),
    (["audit", "list"], "GET /audit/events"),
    (["audit", "show", "release-41"], "GET /audit/runs/release-41"),
    (["audit", "show", "--event", "57"], "GET /audit/events/57"),
]


@pytest.mark.parametrize(("arguments", "route"), COMMANDS)
def test_the_answer_is_printed_as_it_came(
    coordinator: ScriptedCoordinator, command: RunCommand, arguments: list[str], route: str
) -> None:
    for each, document in ROUTES.items():
        coordinator.answers(each, (200, document))
    result = command(*arguments, "--json")
    assert json.loads(result.stdout) == ROUTES[route]
    assert not set(result.stdout) & set("\x1b\x9b\u202e")
    assert result.exit_code == 0


@pytest.mark.parametrize("arguments", [arguments for arguments, _ in COMMANDS])
def test_a_refusal_is_the_problem_document(
    coordinator: ScriptedCoordinator, command: RunCommand, arguments: list[str]
) -> None:
    refusal = problem("CM-201", HOSTILE)
    for route in ROUTES:
        coordinator.answers(route, (422, refusal))
    result = command(*arguments, "--json")
    assert json.loads(result.stdout) == refusal
    assert result.exit_code == 2


def test_not_reaching_the_coordinator_is_a_problem_document_too(
    monkeypatch: pytest.MonkeyPatch, command: RunCommand
) -> None:
    monkeypatch.setenv("COORDINATOR_URL", "http://127.0.0.1:9")
    document = json.loads(command("fleet", "--json").stdout)
    assert {"code", "title", "detail", "next_step", "retryable"} == set(document)


def test_a_watched_run_is_printed_once_at_its_end(coordinator: ScriptedCoordinator, command: RunCommand) -> None:
    coordinator.answers(
        "GET /migrations/release-41",
        (200, run_record("accepted")),
        (200, run_record("running")),
        (200, run_record("failed")),
    )
    result = command("watch", "release-41", "--json")
    assert json.loads(result.stdout) == run_record("failed")
    assert result.exit_code == 1
