"""Real processes of the copy under test, `migration-sidecar serve` and `upgrade`: started, watched, killed by pid."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from scripts.infrastructure import ports
from scripts.infrastructure.supervise import dying_with_us
from tests.campaign.live_health import look

READY_SECONDS = 30.0
STOP_SECONDS = 10.0
ZYGOTE = Path(__file__).with_name("zygote.py").read_text()


class Zygote:
    """Forks processes of one copy of the code; knows how each of them ended."""

    def __init__(self, subject: Path, log: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(subject)}
        self._process = subprocess.Popen(
            dying_with_us([sys.executable, "-P", "-c", ZYGOTE]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("ab"),
            text=True,
            env=environment,
            cwd=subject,
        )
        self._turn = threading.Lock()
        self._answer = threading.Condition()
        self._pids: list[int] = []
        self._ended: dict[int, int] = {}
        threading.Thread(target=self._read, daemon=True).start()

    def start(self, argv: list[str], environment: dict[str, str], log: Path) -> int:
        assert self._process.stdin is not None
        with self._turn, self._answer:
            order = {"argv": argv, "environment": environment, "log": str(log)}
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            if not self._answer.wait_for(lambda: self._pids, timeout=READY_SECONDS):
                raise TimeoutError("the process that forks the services does not answer")
            return self._pids.pop()

    def code(self, pid: int, timeout: float = 0.0) -> int | None:
        """How it ended, negative for a signal; None while it runs."""
        with self._answer:
            self._answer.wait_for(lambda: pid in self._ended, timeout=timeout)
            return self._ended.get(pid)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            fact = json.loads(line)
            with self._answer:
                if "pid" in fact:
                    self._ended.pop(fact["pid"], None)  # the number of one that ended long ago, given again
                    self._pids.append(fact["pid"])
                else:
                    self._ended[fact["ended"]] = fact["status"]
                self._answer.notify_all()


@dataclass
class Service:
    """One `migration-sidecar serve`; may be killed and started again on the same port."""

    zygote: Zygote
    ini: Path
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=lambda: ports.choose(1)[0])
    pid: int = 0
    expected_alive: bool = False
    failed_looks: list[str] = field(default_factory=list)
    starved_looks: int = 0  # no judgement: the machine had no processor for the service
    slowest_look: float = 0.0
    bodies: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when live health answers."""
        self.start_unseen(self.environment)
        deadline = time.monotonic() + READY_SECONDS
        while not look(self.port, self.pid).answered:
            if self.zygote.code(self.pid) is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the service did not start; see {self.log}")
            time.sleep(0.02)
        self.expected_alive = True

    def start_unseen(self, environment: dict[str, str]) -> None:
        argv = ["serve", "--config", str(self.ini), "--port", str(self.port)]
        # Nobody but the campaign calls it, and what is tried is migrating.
        self.pid = self.zygote.start(argv, {**environment, "CALL_SIGNATURES": "off"}, self.log)

    def code(self) -> int | None:
        return self.zygote.code(self.pid)

    @property
    def alive(self) -> bool:
        return self.pid != 0 and self.zygote.code(self.pid) is None

    def heal(self) -> bool:
        """Starts it again if somebody killed it; True when that was so."""
        if self.alive:
            return False
        self.start()
        return True

    def stop(self) -> bool:
        """False when it had to be killed."""
        self.expected_alive = False
        pids = [self.pid, *(each.pid for each in self.descendants())]
        asked = signal_to(self.pid, signal.SIGTERM) if self.alive else False
        in_time = not asked or self.zygote.code(self.pid, timeout=STOP_SECONDS) is not None
        if not in_time:
            signal_to(self.pid, signal.SIGKILL)
        deadline = time.monotonic() + 3
        while any(psutil.pid_exists(pid) for pid in pids[1:]) and time.monotonic() < deadline:
            time.sleep(0.02)
        return in_time and not any(psutil.pid_exists(pid) for pid in pids[1:])

    def descendants(self) -> list[psutil.Process]:
        with suppress(psutil.Error):
            return psutil.Process(self.pid).children(recursive=True)
        return []

    def forkserver(self) -> int | None:
        with suppress(psutil.Error):
            return next((each.pid for each in psutil.Process(self.pid).children()), None)
        return None

    def migration_process(self) -> int | None:
        return next(iter(self.migration_processes()), None)

    def migration_processes(self) -> list[int]:
        server = self.forkserver()
        with suppress(psutil.Error):
            return [each.pid for each in psutil.Process(server).children()] if server else []
        return []

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None, timeout: float = 15.0) -> httpx.Response:
        answer = httpx.request(method, self.url + path, json=body, timeout=timeout)
        self.bodies.append(answer.text)
        return answer

    def look(self) -> None:
        """One look at live health, which must not fail unless we harmed the process."""
        expected, pid = self.expected_alive, self.pid
        found = look(self.port, pid)
        if expected and self.expected_alive and pid == self.pid:
            self.slowest_look = max(self.slowest_look, found.seconds)
            self.starved_looks += not found.is_judged
            if found.is_judged and not found.is_in_time:
                waited = f"{found.waited_seconds:.1f} of {found.seconds:.1f} s without a processor"
                self.failed_looks.append(f"{time.time():.3f}, {waited}")


def signal_to(pid: int | None, number: signal.Signals) -> bool:
    """Whether it was there to be signalled."""
    if not pid:
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def ports_of(pid: int) -> set[int]:
    """The local ports of its connections; none when it has ended."""
    with suppress(psutil.Error):
        return {each.laddr.port for each in psutil.Process(pid).net_connections("tcp")}
    return set()
