"""One look at live health. What it took is told apart from how long the machine had no processor for the service."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from select import select

from migration_sidecar.protocol.busy_machine import seconds_without_processor
from scripts.infrastructure.ports import LOOPBACK

LIMIT_SECONDS = 3.0
LONGEST_LOOK_SECONDS = 60.0
EVERY_SECONDS = 0.1
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Look:
    """`unanswered_seconds` is how long there surely was no answer: we may have been late to see it, too.

    `answered` is None if it was given up while the service had no processor.
    """

    answered: bool | None
    seconds: float = 0.0
    unanswered_seconds: float = 0.0
    waited_seconds: float = 0.0  # of these the service was ready to run and got no processor

    @property
    def is_in_time(self) -> bool:
        """Whether the service itself took no longer than it may. A loop that is blocked waits for no processor."""
        return self.answered is True and self.unanswered_seconds - self.waited_seconds <= LIMIT_SECONDS

    @property
    def is_judged(self) -> bool:
        """Whether nothing but the service can have made it late."""
        return self.answered is not None and not (self.is_in_time and self.unanswered_seconds > LIMIT_SECONDS)


def look(port: int, pid: int) -> Look:
    """Waits for an answer until the service had its time, not counting that in which it got no processor."""
    service = Waiting(pid)
    with suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=LIMIT_SECONDS) as connection:
        connection.sendall(REQUEST)
        sent, unanswered = time.monotonic(), 0.0
        while True:
            now = time.monotonic() - sent
            if select([connection], [], [], 0)[0]:
                answered = connection.recv(64).startswith(b"HTTP/1.1 200")
                return Look(answered, now, unanswered, service.seconds())
            unanswered, waited = now, service.seconds()
            late = unanswered - waited > LIMIT_SECONDS and not service.waits_now()
            if late or unanswered > LONGEST_LOOK_SECONDS:
                return Look(False if late else None, now, unanswered, waited)
            select([connection], [], [], EVERY_SECONDS)
    return Look(answered=False)


class Waiting:
    """How long the main thread of a process, which runs its event loop, has waited for a processor since now."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = seconds_without_processor(pid)
        self._figures = ""

    def seconds(self) -> float:
        return max(0.0, seconds_without_processor(self._pid) - self._before)

    def waits_now(self) -> bool:
        """Whether it is ready to run and has not run since the last call: the kernel counts a wait when it is over."""
        before, self._figures = self._figures, self._read("schedstat")
        is_ready = self._read("stat").rpartition(")")[2].split()[:1] == ["R"]
        return is_ready and self._figures == before

    def _read(self, name: str) -> str:
        with suppress(OSError):
            return Path(f"/proc/{self._pid}/{name}").read_text(encoding="utf-8")
        return ""
