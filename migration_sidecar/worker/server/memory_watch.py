"""Limits the memory of worker processes. What they only reserve counts an eighth: many libraries reserve much."""

from __future__ import annotations

import resource
import signal
from time import monotonic
from typing import Any

from migration_sidecar.protocol.limits import RESERVED_PER_USED

WATCH_SECONDS = 0.1
GRACE_SECONDS = 2.0  # then a process that is still over its limit is ended
_OVER_LIMIT = signal.SIGUSR2
_PAGE_BYTES = resource.getpagesize()


def limit_own_memory(memory_bytes: int) -> None:
    """Called in a new worker process. Code that needs more gets a MemoryError. A crash writes no core file.

    The address space is not limited, because reserving it costs nothing.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file could hold data
    signal.signal(_OVER_LIMIT, _raise)
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    reserved = memory_bytes * RESERVED_PER_USED
    if memory_bytes and (most == resource.RLIM_INFINITY or reserved < most):
        resource.setrlimit(resource.RLIMIT_DATA, (reserved, most))


def _raise(*_: Any) -> None:
    raise MemoryError("more than memory_limit_mb")


class MemoryWatch:
    """Looks after one worker process from outside, because code in C may take memory for long before it returns."""

    def __init__(self, pid: int, memory_bytes: int) -> None:
        self._pid = pid
        self._memory_bytes = memory_bytes
        self._over_since: float | None = None
        self.has_ended_it = False

    def check(self, handle: int) -> None:
        """Interrupts the process with this pidfd if it uses too much, and later ends it."""
        if not self._memory_bytes or self._used() <= self._memory_bytes:
            self._over_since = None
        elif self._over_since is None:
            self._over_since = monotonic()
            signal.pidfd_send_signal(handle, _OVER_LIMIT)
        elif monotonic() - self._over_since > GRACE_SECONDS:
            self.has_ended_it = True
            signal.pidfd_send_signal(handle, signal.SIGKILL)

    def _used(self) -> int:
        try:
            with open(f"/proc/{self._pid}/statm", encoding="ascii") as numbers:  # noqa: PTH123 - ten times a second
                _, resident, shared, *_ = map(int, numbers.read().split())
        except (OSError, ValueError):  # it has just ended
            return 0
        return (resident - shared) * _PAGE_BYTES
