"""`coordinator audit show`, and what `list` asks for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.coordinator.cli.conftest import RunCommand
from tests.unit.coordinator.cli.scripted_coordinator import ScriptedCoordinator, problem

HOSTILE = "\x1b[2J\x9b31m[red]x\u202e"


def happened(second: int, event_type: str, **facts: Any) -> dict[str, Any]:
    at = f"2026-11-22T15:00:0{second}Z"
    return {"seq": second, "event_type": event_type, "occurred_at": at, "source": "cds-task/journal"} | facts


STORY = {
    "request_id": "release-41",
    "actor": "ada",
    "outcome": "failed",
    "asked_at": "2026-11-22T15:00:00Z",
    "finished_at": "2026-11-22T15:00:09Z",
    "services": ["cds-task"],
    "events": [
        happened(0, "migration.requested", actor="ada", detail={"reason": "release 41"}),
        happened(1, "migration.step_started", service="cds-task", from_revision="a1", to_revision="a2"),
        happened(2, "revision.applied", service="cds-task", outcome="applied", detail={"revision": "a2"}),
        happened(
            2,
            "revision.applied",
            service="cds-task",
            from_revision="a1",
            to_revision="a2,a2b",
            detail={"revision": "a2b"},
        ),
        happened(3, "attempt.failed", service="cds-task", outcome="CM-402", detail={"error": "it broke"}),
        happened(4, "migration.step_finished", service="cds-task", outcome="failed"),
        happened(6, "something.new", outcome="done"),
        happened(9, "migration.finished", outcome="failed", duration_ms=9000),
    ],
}


def test_the_story_of_a_run_says_in_words_what_happened_in_which_order(
    coordinator: ScriptedCoordinator, command: RunCommand
) -> None:
    coordinator.answers("GET /audit/runs/release-41", (200, STORY))
    result = command("audit", "show", "release-41")
    assert result.exit_code == 0
    told = [
        "request release-41  failed",
        "by ada · took 9.0 s · services: cds-task",
        "asked for, release 41",
        "step begins, a1 → a2",
        "applied a2",
        "applied a2b, a1 → a2b, heads a2,a2b",
        "attempt failed, CM-402, it broke",
        "step ended, failed",
        "something.new, done",
        "run ended, failed, 9.0 s",
    ]
    places = [result.stdout.find(each) for each in told]
    assert -1 not in places
    assert places == sorted(places)


def test_a_story_that_goes_on_is_not_told_as_ended(coordinator: ScriptedCoordinator, command: RunCommand) -> None:
    coordinator.answers("GET /audit/runs/r", (200, {"request_id": "r", "events": STORY["events"][:1], "more": True}))
    result = command("audit", "show", "r")
    assert "not ended" in result.stdout
    assert "coordinator audit list --request r" in result.stderr


def test_one_event_is_shown_with_everything_in_it_also_what_this_release_does_not_know(
    coordinator: ScriptedCoordinator, command: RunCommand
) -> None:
    event = {"seq": 57, "actor": HOSTILE, "detail": {"sha256": "ab" * 32, "new": [HOSTILE]}, "invented_later": 1}
    coordinator.answers("GET /audit/events/57", (200, event))
    shown = command("audit", "show", "--event", "57").stdout
    for part in ("57", "ab" * 32, "invented_later", "\\x1b[2J"):
        assert part in shown
    assert not set(shown) & set("\x1b\x9b\u202e")


def test_an_event_is_asked_for_as_it_was_written(coordinator: ScriptedCoordinator, command: RunCommand) -> None:
    command("audit", "show", "--event", "../../migrations?x=1")
    assert coordinator.asked[0].path == "/audit/events/..%2F..%2Fmigrations%3Fx%3D1"


@pytest.mark.parametrize("arguments", [[], ["release-41", "--event", "57"], ["no id"], [""]])
def test_what_names_nothing_or_two_things_is_bad_input(
    coordinator: ScriptedCoordinator, command: RunCommand, arguments: list[str]
) -> None:
    assert command("audit", "show", *arguments).exit_code == 2
    assert coordinator.asked == []


def test_a_run_the_audit_does_not_know_is_said(coordinator: ScriptedCoordinator, command: RunCommand) -> None:
    coordinator.answers("GET /audit/runs/r", (404, problem("CM-604", "The audit knows no such request")))
    result = command("audit", "show", "r")
    assert (result.exit_code, "The audit knows no such request" in result.stderr) == (2, True)


def test_every_filter_of_the_list_reaches_the_audit_under_its_name(
    coordinator: ScriptedCoordinator, command: RunCommand
) -> None:
    coordinator.answers("GET /audit/events", (200, {"events": []}))
    filters = "--request r --service s --database d --actor a --outcome failed --revision a2 --newest --cursor c"
    types = "--type revision.* --type attempt.failed"
    moments = "--from 2026-10-01 --to 2026-11-01T12:00:00.5+02:00"
    assert command("audit", "list", *f"{filters} {types} {moments}".split()).exit_code == 0
    assert coordinator.asked[0].parameters == {
        "request_id": "r",
        "service": "s",
        "database": "d",
        "actor": "a",
        "outcome": "failed",
        "revision": "a2",
        "order": "newest",
        "cursor": "c",
        "type": "revision.*,attempt.failed",
        "from": "2026-10-01T00:00:00+00:00",
        "to": "2026-11-01T12:00:00.500000+02:00",
        "limit": "100",
    }


@pytest.mark.parametrize("option", ["--from", "--to"])
def test_a_moment_that_is_none_is_bad_input(coordinator: ScriptedCoordinator, command: RunCommand, option: str) -> None:
    result = command("audit", "list", option, "last week")
    assert result.exit_code == 2
    assert "write 2026-11-22" in result.stderr
    assert coordinator.asked == []


def test_a_request_without_events_points_to_what_was_refused_without_an_id(
    coordinator: ScriptedCoordinator, command: RunCommand
) -> None:
    coordinator.answers("GET /audit/events", (200, {"events": [], "next_cursor": None}))
    assert "--type migration.rejected" in command("audit", "list", "--request", "ev1").stderr
    assert "--type" not in command("audit", "list").output
