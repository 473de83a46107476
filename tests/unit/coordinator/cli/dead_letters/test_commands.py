"""`coordinator dead-letters`: what is asked, what is shown, and what the shell learns."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.coordinator.cli.conftest import RunCommand
from tests.unit.coordinator.cli.scripted_coordinator import ScriptedCoordinator, problem, run_record, step

ID = "5f8a2c1e-0d6b-5c3e-9a44-6b1f0c9a2e57"
HOSTILE = "\x1b[2J\x9b31m[red]\u202e"


def letter(**facts: Any) -> dict[str, Any]:
    known: dict[str, Any] = {
        "id": ID,
        "request_id": "nightly-7",
        "event_id": "nightly-7",
        "source": "release-bot",
        "published_by": None,
        "first_at": "2026-11-22T15:00:00Z",
        "last_at": "2026-11-22T16:00:00Z",
        "times": 3,
        "reason": problem("CM-201", "There is no such service to migrate", detail="No service late."),
        "body_bytes": 212,
        "body_sha256": "0" * 64,
        "is_whole": True,
        "run": None,
        "event": '{"specversion":"1.0","id":"nightly-7","data":{"services":["late"],"reason":"Gr\\u00fc\\u00dfe"}}',
    }
    return known | facts


def page(*letters: dict[str, Any], **facts: Any) -> dict[str, Any]:
    return {
        "dead_letters": list(letters),
        "next_cursor": None,
        "damaged": [],
        "dropped": 0,
        "not_kept": 0,
    } | facts


def test_the_list_says_what_came_from_whom_why_it_is_no_run_and_what_became_of_it(
    coordinator: ScriptedCoordinator, command: RunCommand
) -> None:
    became = {"request_id": "nightly-8", "at": "2026-11-22T17:00:00Z", "by": "ada"}
    coordinator.answers("GET /dead-letters", (200, page(letter(), letter(id="other", times=1, run=became))))
    result = command("dead-letters", "list", "--limit", "2")
    assert result.exit_code == 0
    first, second = [line for line in result.stdout.splitlines() if "nightly-7" in line]
    for shown in (ID, "2026-11-22 16:00:00Z", "3", "CM-201", "nightly-7", "release-bot"):
        assert shown in first
    assert "nightly-8" in second
    assert coordinator.asked[0].parameters == {"limit": "2"}
    assert f"coordinator dead-letters show {ID}" in result.stderr


def test_no_letters_is_said(coordinator: ScriptedCoordinator, command: RunCommand) -> None:
    coordinator.answers("GET /dead-letters", (200, page()))
    result = command("dead-letters", "list")
    assert (result.exit_code, result.stdout.strip(), result.stderr) == (0, "No dead letters.", "")


def test_what_is_not_in_the_list_is_told_aloud(coordinator: ScriptedCoordinator, command: RunCommand) -> None:
    coordinator.answers(
        "GET /dead-letters", (200, page(letter(), dropped=12, not_kept=140, damaged=["x"], next_cursor=ID))
    )
    said = command("dead-letters", "list").stderr
    assert "12 older ones made room for newer ones" in said
    assert "140 more came in floods and were not kept" in said
    assert "coordinator audit list --type migration.rejections_counted" in said
    assert "cannot be read: x" in said
    assert f"--cursor {ID}" in said


def test_one_is_shown_with_the_event_as_it_came_and_with_what_to_do(
    coordinator: ScriptedCoordinator, command: RunCommand
) -> None:
    coordinator.answers(f"GET /dead-letters/{ID}", (200, letter()))
    result = command("dead-letters", "show", ID)
    assert result.exit_code == 0
    for shown in ("CM-201", "No service late.", "do this", "3 times", "release-bot", "212 bytes", '"late"', "Grüße"):
        assert shown in result.stdout
    assert f"coordinator dead-letters resubmit {ID}" in result.stderr


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"published_by": "ada"}, "signed by ada"),
        ({"published_by": None}, "signed by nobody who is known"),
        ({"is_whole": False}, "only its beginning is kept"),
        ({"is_signed": False}, "does not bear the coordinator's signature"),
        ({"event": "no json"}, "no json"),
        ({"event_id": None, "source": None, "request_id": None}, "no id that can be read"),
        ({"times": 1}, "once"),
        ({"run": {"request_id": "r-2", "at": "2026-11-22T17:00:00Z", "by": "ada"}}, "r-2, resubmitted by ada"),
        ({"run": {"request_id": "r-2", "at": "2026-11-22T17:00:00Z", "by": None}}, "r-2, at 2026-11-22 17:00:00Z"),
    ],
)
def test_every_circumstance_is_told(
    coordinator: ScriptedCoordinator, command: RunCommand, facts: dict[str, Any], says: str
) -> None:
    coordinator.answers(f"GET /dead-letters/{ID}", (200, letter(**facts)))
    result = command("dead-letters", "show", ID)
    assert says in result.output
    may_be_asked_for = not facts.keys() & {"is_whole", "is_signed", "run"}
    assert ("dead-letters resubmit" in result.stderr) is may_be_asked_for


def test_nothing_that_somebody_published_acts_on_the_terminal(
    coordinator: ScriptedCoordinator, command: RunCommand
) -> None:
    hostile = letter(event=HOSTILE, source=HOSTILE, request_id=None, reason=problem("CM-101", HOSTILE))
    coordinator.answers(f"GET /dead-letters/{ID}", (200, hostile))
    coordinator.answers("GET /dead-letters", (200, page(hostile)))
    for arguments in (["show", ID], ["list"]):
        result = command("dead-letters", *arguments)
        assert result.exit_code == 0
        assert not set(result.output) & set("\x1b\x9b\u202e")


@pytest.mark.parametrize(("arguments", "body"), [([], {}), (["--request-id", "r-2"], {"request_id": "r-2"})])
def test_resubmitting_asks_for_it_and_shows_the_run(
    coordinator: ScriptedCoordinator, command: RunCommand, arguments: list[str], body: dict[str, Any]
) -> None:
    coordinator.answers(f"POST /dead-letters/{ID}/resubmit", (202, run_record("accepted")))
    result = command("dead-letters", "resubmit", ID, *arguments)
    assert (result.exit_code, coordinator.asked[0].body) == (0, body)
    assert "release-41" in result.stdout
    assert "coordinator watch release-41" in result.stderr


def test_resubmitting_a_second_time_says_that_it_is_the_same_run(
    coordinator: ScriptedCoordinator, command: RunCommand
) -> None:
    coordinator.answers(f"POST /dead-letters/{ID}/resubmit", (202, run_record("running", version=3)))
    assert "this is the same run" in command("dead-letters", "resubmit", ID).stderr


@pytest.mark.parametrize(("state", "code"), [("succeeded", 0), ("running", 0), ("failed", 1), ("needs_attention", 4)])
def test_the_exit_code_is_that_of_the_run(
    coordinator: ScriptedCoordinator, command: RunCommand, state: str, code: int
) -> None:
    coordinator.answers(f"POST /dead-letters/{ID}/resubmit", (202, run_record(state)))
    assert command("dead-letters", "resubmit", ID).exit_code == code


@pytest.mark.parametrize(("state", "code"), [("succeeded", 0), ("failed", 1), ("needs_attention", 4)])
def test_a_watched_one_ends_with_its_run(
    coordinator: ScriptedCoordinator, command: RunCommand, state: str, code: int
) -> None:
    coordinator.answers(f"POST /dead-letters/{ID}/resubmit", (202, run_record("accepted")))
    coordinator.answers("GET /migrations/release-41", (200, run_record(state, step("cds-client", state))))
    assert command("dead-letters", "resubmit", ID, "--watch").exit_code == code


@pytest.mark.parametrize(("status", "code"), [(400, 2), (401, 2), (403, 2), (404, 2), (409, 2), (422, 2), (503, 3)])
@pytest.mark.parametrize(
    ("arguments", "route"),
    [
        (["list"], "GET /dead-letters"),
        (["show", ID], f"GET /dead-letters/{ID}"),
        (["resubmit", ID], f"POST /dead-letters/{ID}/resubmit"),
    ],
)
def test_a_refusal_is_bad_input_unless_the_coordinator_is_at_fault(
    coordinator: ScriptedCoordinator, command: RunCommand, arguments: list[str], route: str, status: int, code: int
) -> None:
    refusal = problem("CM-605", "The dead letter cannot be resubmitted")
    coordinator.answers(route, (status, refusal))
    result = command("dead-letters", *arguments)
    assert result.exit_code == code
    assert "CM-605 The dead letter cannot be resubmitted\n  why   because\n  next  do this" in result.stderr
    result = command("dead-letters", *arguments, "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (code, refusal)


@pytest.mark.parametrize(
    "arguments",
    [
        ["show"],
        ["show", "a/b"],
        ["show", ""],
        ["resubmit"],
        ["resubmit", "../migrations"],
        ["resubmit", ID, "--request-id", "a b"],
        ["resubmit", ID, "--request-id", ""],
        ["list", "--limit", "0"],
        ["list", "--limit", "101"],
        ["nonsense"],
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(
    coordinator: ScriptedCoordinator, command: RunCommand, arguments: list[str]
) -> None:
    assert command("dead-letters", *arguments).exit_code == 2
    assert coordinator.asked == []


def test_json_is_the_answer_as_it_came(coordinator: ScriptedCoordinator, command: RunCommand) -> None:
    run = run_record("succeeded", something_new=HOSTILE)
    coordinator.answers("GET /dead-letters", (200, page(letter(event=HOSTILE))))
    coordinator.answers(f"GET /dead-letters/{ID}", (200, letter(event=HOSTILE)))
    coordinator.answers(f"POST /dead-letters/{ID}/resubmit", (202, run))
    for arguments, document in (
        (["list"], page(letter(event=HOSTILE))),
        (["show", ID], letter(event=HOSTILE)),
        (["resubmit", ID], run),
    ):
        result = command("dead-letters", *arguments, "--json")
        assert (json.loads(result.stdout), result.exit_code) == (document, 0)


@pytest.mark.parametrize("name", ["list", "show", "resubmit"])
def test_the_help_teaches_with_examples(command: RunCommand, name: str) -> None:
    result = command("dead-letters", name, "--help")
    assert result.exit_code == 0
    assert "Examples:" in result.stdout
    assert f"coordinator dead-letters {name}" in result.stdout
