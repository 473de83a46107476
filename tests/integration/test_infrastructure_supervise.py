"""Programs that outlive us: found again, stopped for certain, and never mistaken for somebody else's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from scripts.infrastructure import supervise
from scripts.infrastructure.errors import NotHealthy, RunsOtherwise, ToolMissing
from scripts.infrastructure.supervise import Program

SLEEP = ("sleep", "60")
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(60)
"""
PARENT = """
import subprocess, sys, time
subprocess.Popen(["sleep", "60"], start_new_session=True)
print("ready", flush=True)
time.sleep(60)
"""

MakeProgram = Callable[..., Program]


@pytest.fixture
def program(tmp_path: Path) -> Iterator[MakeProgram]:
    made = []

    def make(*command: str, ends_descendants: bool = False) -> Program:
        made.append(Program("program", command, tmp_path, ends_descendants=ends_descendants))
        return made[-1]

    yield make
    for each in made:
        each.stop()


def says_ready(program: Program) -> None:
    program.wait_until(lambda: "ready" in program.log.read_text(), "its first word")


def test_a_program_is_found_again_by_whoever_knows_its_directory(program: MakeProgram) -> None:
    started = program(*SLEEP).start()
    assert program(*SLEEP).process() == started


def test_a_log_that_is_shortened_while_the_program_runs_begins_again(program: MakeProgram) -> None:
    talker = program(sys.executable, "-c", "import time\nwhile True: print('x' * 999, flush=True); time.sleep(0.01)")
    talker.start()
    talker.wait_until(lambda: talker.log.stat().st_size > 20_000, "some lines")
    os.truncate(talker.log, 0)
    talker.wait_until(lambda: talker.log.stat().st_size > 0, "a line")
    assert talker.log.read_bytes().startswith(b"x")


def test_starting_twice_starts_once(program: MakeProgram) -> None:
    sleeper = program(*SLEEP)
    assert sleeper.start() == sleeper.start()


def test_stopping_returns_when_it_is_gone_and_may_be_repeated(program: MakeProgram) -> None:
    sleeper = program(*SLEEP)
    process = sleeper.start()
    assert sleeper.stop()
    assert not process.is_running()
    assert not sleeper.stop()


def test_a_pid_that_somebody_else_has_now_is_never_signalled(program: MakeProgram) -> None:
    with subprocess.Popen(SLEEP) as stranger:
        sleeper = program(*SLEEP)
        sleeper.pid_file.write_text(json.dumps({"pid": stranger.pid, "started": time.time() - 3600, "command": SLEEP}))
        assert sleeper.process() is None
        assert not sleeper.stop()
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("content", ["", "12", "{}", '{"pid": "x", "started": 1}', "[1]", "\x00"])
def test_a_damaged_pid_file_counts_as_not_running(program: MakeProgram, content: str) -> None:
    sleeper = program(*SLEEP)
    sleeper.pid_file.write_text(content)
    assert sleeper.process() is None
    assert not sleeper.stop()


def test_a_program_that_ignores_the_request_is_killed(program: MakeProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "GRACE_SECONDS", 0.3)
    stubborn = program(sys.executable, "-c", STUBBORN)
    process = stubborn.start()
    says_ready(stubborn)
    assert stubborn.stop()
    assert not process.is_running()


def test_what_a_killed_launcher_left_behind_is_stopped_too(program: MakeProgram) -> None:
    launcher = program(sys.executable, "-c", PARENT, ends_descendants=True)
    process = launcher.start()
    says_ready(launcher)
    (child,) = process.children()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert child.is_running()
    assert launcher.stop()
    assert not psutil.pid_exists(child.pid) or child.status() == psutil.STATUS_ZOMBIE


def test_a_process_has_ended_also_where_its_parent_never_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose process 1 is `sleep infinity`."""
    monkeypatch.setattr(supervise, "GRACE_SECONDS", 1.0)
    with subprocess.Popen(["sh", "-c", "sleep 60 & exec sleep 60"]) as careless:
        try:
            parent = psutil.Process(careless.pid)
            while parent.name() != "sleep" or not parent.children():
                time.sleep(0.01)
            (child,) = parent.children()
            supervise.end([child], "a program")
            assert child.status() == psutil.STATUS_ZOMBIE
        finally:
            careless.kill()


def test_running_with_other_settings_is_said_and_not_ignored(program: MakeProgram) -> None:
    program("sleep", "60").start()
    with pytest.raises(RunsOtherwise, match=r"\(60\) than asked for \(61\)"):
        program("sleep", "61").start()


def test_a_program_that_ends_early_is_reported_with_the_end_of_its_log(program: MakeProgram) -> None:
    failing = program("sh", "-c", "echo the disk is full; exit 1")
    failing.start()
    with pytest.raises(NotHealthy, match=r"it ended while waiting for its first word(.|\n)*the disk is full"):
        says_ready(failing)


def test_a_program_that_never_gets_ready_is_reported_with_what_was_awaited(program: MakeProgram) -> None:
    sleeper = program(*SLEEP)
    sleeper.start()
    with pytest.raises(NotHealthy, match="0 s passed while waiting for a miracle"):
        sleeper.wait_until(lambda: False, "a miracle", timeout_seconds=0.1)


def test_a_missing_program_names_set_up(program: MakeProgram) -> None:
    with pytest.raises(ToolMissing, match=r"Run \./scripts/setup"):
        program("/nowhere/daprd").start()


def test_the_log_of_the_run_before_is_kept(program: MakeProgram) -> None:
    for word in ("first", "second"):
        speaker = program("sh", "-c", f"echo {word}, ready; exec sleep 60")
        speaker.start()
        says_ready(speaker)
        speaker.stop()
    assert speaker.log.with_suffix(".log.previous").read_text() == "first, ready\n"
