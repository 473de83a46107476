"""A look at live health finds a blocked event loop, also where the service has to wait for a processor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scripts.infrastructure import ports
from tests.campaign import live_health
from tests.campaign.live_health import Look, look
from tests.campaign.nemeses import FAKED_CLOCK, LIBFAKETIME, faked_clock

ANSWERS_AFTER = """
import socket, sys, time
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("ready", flush=True)
connection, _ = server.accept()
connection.recv(1000)
BLOCKED
connection.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n")
connection.recv(1)
"""
SLEEPS, COMPUTES = "time.sleep(1.0)", "until = time.process_time() + 1.0\nwhile time.process_time() < until: pass"


@contextmanager
def service(blocked: str = "") -> Iterator[tuple[int, int]]:
    (port,) = ports.choose(1)
    program = [sys.executable, "-c", ANSWERS_AFTER.replace("BLOCKED", blocked), str(port)]
    with subprocess.Popen(program, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield port, process.pid
        finally:
            process.kill()


@pytest.fixture(autouse=True)
def short_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_health, "LIMIT_SECONDS", 0.3)


def test_a_service_that_answers_is_in_time() -> None:
    with service() as (port, pid):
        found = look(port, pid)
    assert (found.answered, found.is_in_time) == (True, True)


def test_nobody_there_is_no_answer() -> None:
    found = look(ports.choose(1)[0], os.getpid())
    assert (found.is_judged, found.is_in_time) == (True, False)


@pytest.mark.parametrize("blocked", [SLEEPS, COMPUTES], ids=["sleeps", "computes"])
def test_a_blocked_event_loop_is_found(blocked: str) -> None:
    with service(blocked) as (port, pid):
        found = look(port, pid)
    assert (found.is_judged, found.is_in_time) == (True, False)


def test_a_blocked_event_loop_is_found_although_the_service_had_to_wait_for_a_processor_as_well() -> None:
    found = Look(answered=True, seconds=9.0, unanswered_seconds=9.0, waited_seconds=5.0)
    assert (found.is_judged, found.is_in_time) == (True, False)


def test_time_without_a_processor_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    monkeypatch.setattr(live_health, "seconds_without_processor", lambda _: time.monotonic() - began)
    with service(SLEEPS) as (port, pid):
        found = look(port, pid)
    assert found.answered
    assert (found.is_judged, found.is_in_time) == (False, True)


def test_one_that_waits_for_a_processor_now_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel counts a wait only when it is over."""
    monkeypatch.setattr(live_health.Waiting, "waits_now", lambda _: True)
    with service(SLEEPS) as (port, pid):
        assert look(port, pid).answered
    monkeypatch.setattr(live_health, "LONGEST_LOOK_SECONDS", 0.5)
    with service(SLEEPS) as (port, pid):
        assert not look(port, pid).is_judged


def test_a_stopped_process_waits_for_no_processor() -> None:
    with service() as (_, pid):
        waiting = live_health.Waiting(pid)
        os.kill(pid, signal.SIGSTOP)
        os.waitpid(pid, os.WUNTRACED)  # it has to run once more to stop
        assert [waiting.waits_now() for _ in range(3)] == [False] * 3


USES_THREADS = """
import os, threading, time
threads = [threading.Thread(target=lambda: [None for _ in range(400_000)]) for _ in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
before = time.monotonic()
time.sleep(0.05)
used = os.times()
print(used.user + used.system, time.monotonic() - before, time.time())
"""


@pytest.mark.skipif(not LIBFAKETIME.exists(), reason="libfaketime is not installed")
def test_the_nemesis_of_a_wrong_clock_makes_nothing_else_wrong(tmp_path: Path) -> None:
    """With libfaketime's own settings threads fight for the GIL, and time.sleep fails."""
    file = tmp_path / "clock"
    file.write_text("+1h")
    environment = {**os.environ, **faked_clock(file, FAKED_CLOCK)}
    run: Callable[..., str] = subprocess.check_output
    used, slept, now = map(float, run([sys.executable, "-c", USES_THREADS], env=environment, text=True).split())
    assert used < 1.0
    assert slept >= 0.04
    assert now - time.time() > 3500
