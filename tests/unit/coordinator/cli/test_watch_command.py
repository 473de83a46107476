"""The same run in a terminal, in a pipe, and when somebody stops looking."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.unit.coordinator.cli.conftest import RunCommand
from tests.unit.coordinator.cli.scripted_coordinator import ScriptedCoordinator, problem, run_record, step

PROGRAM = [sys.executable, "-c", "from coordinator.cli.app import main; main()"]
ROOT = Path(__file__).parents[4]
DONE = step("cds-client", "succeeded", from_revisions=["0a1"], applied=[{}, {}, {}], duration_ms=212)
STORY = [
    (200, run_record("accepted")),
    (200, run_record("running", step("cds-client", "running"), step("cds-task", "pending"))),
    (200, run_record("running", DONE, step("cds-task", "running", waiting_for="the lock held by pid 12"))),
    (200, run_record("failed", DONE, step("cds-task", "failed", error=problem("CM-401", "Revision 0f1 failed")))),
]


def test_a_pipe_gets_one_line_per_change(coordinator: ScriptedCoordinator, command: RunCommand) -> None:
    coordinator.answers("GET /migrations/release-41", *STORY)
    lines = [re.sub(r"^\d\d:\d\d:\d\d  ", "", line) for line in command("watch", "release-41").stdout.splitlines()]
    assert lines == [
        "run release-41  accepted  planning: asking every service what there is to do",
        "run release-41  running",
        "cds-client  running",
        "cds-client  succeeded  0a1 → 0c3; 3 revisions; 212 ms",
        "cds-task  running  the lock held by pid 12",
        "cds-task  failed  CM-401 Revision 0f1 failed",
        "run release-41  failed  1 succeeded, 1 failed",
        "cds-task",
        "  CM-401 Revision 0f1 failed",
        "    why   because",
        "    next  do this",
    ]


def test_a_lost_connection_is_told_and_the_watch_goes_on(coordinator: ScriptedCoordinator, command: RunCommand) -> None:
    starting = (500, {"errorCode": "ERR_DIRECT_INVOKE", "message": "connection refused"})
    coordinator.answers("GET /migrations/release-41", STORY[1], (0, None), starting, (200, run_record("succeeded")))
    result = command("watch", "release-41")
    assert result.stdout.count("No answer from the coordinator") == 1
    assert "run release-41  succeeded" in result.stdout
    assert result.exit_code == 0


def test_a_skipped_step_is_shown_where_it_stayed(coordinator: ScriptedCoordinator, command: RunCommand) -> None:
    skipped = step("cds-task", "skipped", from_revisions=["0f0"], to_revisions=["0f1"], planned=["0f1"])
    coordinator.answers("GET /migrations/release-41", (200, run_record("failed", skipped)))
    assert "cds-task  skipped  at 0f0\n" in command("watch", "release-41").stdout


def test_a_step_that_nobody_could_tell_the_end_of_is_shown_where_it_was(
    coordinator: ScriptedCoordinator, command: RunCommand
) -> None:
    silent = step("cds-task", "needs_attention", from_revisions=["0f0"], to_revisions=[], planned=["0f1"])
    coordinator.answers("GET /migrations/release-41", (200, run_record("needs_attention", silent)))
    assert "was at 0f0" in command("status", "release-41").stdout


@pytest.mark.parametrize(("target", "beyond"), [("0f1", True), ("0f2", False), ("head", False), ("main@head", False)])
def test_a_target_that_the_database_has_passed_is_said(
    coordinator: ScriptedCoordinator, command: RunCommand, target: str, beyond: bool
) -> None:
    there = step("cds-task", "unchanged", from_revisions=["0f2"], to_revisions=["0f2"], target=target)
    coordinator.answers("GET /migrations/release-41", (200, run_record("succeeded", there)))
    plan = {"service": "cds-task", "database": "cds_task", "from": ["0f2"], "to": ["0f2"], "target": target}
    coordinator.answers("POST /plans", (200, {"services": [plan]}))
    for shown in (command("watch", "release-41"), command("status", "release-41"), command("plan", "cds-task")):
        assert ("at 0f2, already beyond the target 0f1" in shown.stdout) is beyond


def test_an_audit_that_follows_at_once_is_no_news(coordinator: ScriptedCoordinator, command: RunCommand) -> None:
    owing, recorded = run_record("succeeded", audit="pending"), run_record("succeeded", audit="recorded")
    coordinator.answers("GET /migrations/release-41", (200, owing), (200, recorded))
    shown = command("watch", "release-41").stdout
    assert shown.count("run release-41  succeeded") == 1
    assert "audit" not in shown


def test_a_pipe_gets_no_escape_sequences_even_without_no_color(coordinator: ScriptedCoordinator) -> None:
    coordinator.answers("GET /migrations/release-41", *STORY)
    result = subprocess.run([*PROGRAM, "watch", "release-41"], env=_environment(), capture_output=True, timeout=60)
    assert b"\x1b" not in result.stdout
    assert result.returncode == 1


def test_a_terminal_gets_a_bar_per_service_that_is_redrawn_in_place(coordinator: ScriptedCoordinator) -> None:
    coordinator.answers("GET /migrations/release-41", *STORY)
    shown, code = _in_a_terminal("watch", "release-41")
    assert code == 1
    assert shown.count("━" * 24) >= 2
    assert "\x1b[1A" in shown
    assert "\x1b[31mfailed" in shown
    assert shown.endswith("do this\r\n")
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


def test_no_color_takes_the_colours_and_leaves_the_view(coordinator: ScriptedCoordinator) -> None:
    coordinator.answers("GET /migrations/release-41", *STORY)
    shown, _ = _in_a_terminal("watch", "release-41", NO_COLOR="1")
    assert "\x1b[31m" not in shown
    assert "━" * 24 in shown


def test_letting_go_leaves_the_run_and_says_how_to_come_back(coordinator: ScriptedCoordinator) -> None:
    coordinator.answers("GET /migrations/release-41", (200, run_record("running", step("cds-client", "running"))))
    process = subprocess.Popen(
        [*PROGRAM, "watch", "release-41"], env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    _wait_until_asked_twice(coordinator)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert "cds-client  running" in stdout
    assert stderr == "\nThe run goes on without you. To watch it again: coordinator watch release-41\n"
    assert process.returncode == 130
    assert {asked.method for asked in coordinator.asked} == {"GET"}


def test_a_terminal_that_knows_only_ascii_is_served_as_well(coordinator: ScriptedCoordinator) -> None:
    record = run_record("succeeded", DONE, reason="für Zoë")
    coordinator.answers("GET /migrations/release-41", (200, record))
    environment = _environment(PYTHONIOENCODING="ascii")
    result = subprocess.run([*PROGRAM, "status", "release-41"], env=environment, capture_output=True, timeout=60)
    assert result.returncode == 0
    assert rb"0a1 \u2192 0c3" in result.stdout


@pytest.fixture(autouse=True)
def colours_as_the_terminal_has_them(no_colour: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "xterm-256color")


def _environment(**settings: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **settings}


def _wait_until_asked_twice(coordinator: ScriptedCoordinator) -> None:
    deadline = time.monotonic() + 30
    while len(coordinator.asked) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(coordinator.asked) >= 2


def _in_a_terminal(*arguments: str, **settings: str) -> tuple[str, int]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*PROGRAM, *arguments], env=_environment(**settings), stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        ready, _, _ = select.select([ours], [], [], 30)
        try:
            piece = os.read(ours, 65536) if ready else b""
        except OSError:  # Linux says so when the last writer of a terminal is gone
            piece = b""
        if not piece:
            break
        shown += piece
    os.close(ours)
    return shown.decode(), process.wait(timeout=30)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"from_revisions": ["0f1"], "to_revisions": ["0f2"]}, "at 0f2, migrated by somebody else"),
        ({"from_revisions": ["0f2"], "to_revisions": ["0f2"]}, "at 0f2"),
    ],
)
def test_a_step_that_applied_nothing_claims_nothing(
    coordinator: ScriptedCoordinator, command: RunCommand, facts: dict[str, list[str]], said: str
) -> None:
    there = step("cds-task", "unchanged", planned=["0f2"], applied=[], duration_ms=-93589718, **facts)
    coordinator.answers("GET /migrations/release-41", (200, run_record("succeeded", there)))
    assert f"cds-task  unchanged  {said}; 0 ms\n" in command("watch", "release-41").stdout


def test_a_database_that_somebody_else_took_further_is_shown_with_the_reason(
    coordinator: ScriptedCoordinator, command: RunCommand
) -> None:
    remark = "The database is at 0f3, beyond 0f2, because somebody else migrated it too."
    further = step("cds-task", "succeeded", from_revisions=["0f1"], to_revisions=["0f3"], applied=[{}], remark=remark)
    coordinator.answers("GET /migrations/release-41", (200, run_record("succeeded", further)))
    assert remark in command("watch", "release-41").stdout
    assert remark in " ".join(command("status", "release-41").stdout.split())


def test_runs_whose_records_cannot_be_read_are_named_under_the_table(
    coordinator: ScriptedCoordinator, command: RunCommand
) -> None:
    coordinator.answers("GET /migrations", (200, {"runs": [], "next_cursor": None, "damaged": ["r-1", "r-2"]}))
    result = command("runs")
    assert result.exit_code == 0
    assert "r-1, r-2" in result.stderr
    assert "coordinator status ID" in result.stderr
