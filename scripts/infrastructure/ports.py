"""Which ports are free, and which programs use the others."""

from __future__ import annotations

import fcntl
import os
import random
import socket
from collections.abc import Set
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from scripts.infrastructure.errors import InfrastructureError, PortHeldForTheMoment, PortTaken

LOOPBACK = "127.0.0.1"
UNKNOWN_PROGRAM = "a program this user may not see"
# Below the ports of outgoing connections: the kernel could use one of those between our choice and our bind.
BLOCK_SIZE = 100
BLOCKS = range(20_000, 32_000, BLOCK_SIZE)


def is_free(port: int) -> bool:
    """Whether a program could listen on this port now. Closed connections to it (TIME_WAIT) do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


@dataclass(frozen=True)
class Holder:
    """The user of a port; `listens` is false for an outgoing connection, which frees the port by itself."""

    who: str
    listens: bool = True


def owner(port: int) -> str:
    """The program that listens on the port or is connected from it, as far as this user can see."""
    return holder(port).who


def holder(port: int) -> Holder:
    """Like `owner`, and whether it listens."""
    connections = [each for each in _connections() if each.laddr and each.laddr.port == port]
    connections.sort(key=lambda connection: (connection.status != psutil.CONN_LISTEN, not connection.pid))
    if not connections:
        return Holder(UNKNOWN_PROGRAM)
    first = connections[0]
    if first.status == psutil.CONN_LISTEN:
        return Holder(describe(first.pid))
    if first.status == psutil.CONN_TIME_WAIT:
        return Holder("a connection that was closed a moment ago", listens=False)
    return Holder(f"an outgoing connection of {describe(first.pid)}", listens=False)


def connected_to(numbers: Set[int], besides: Set[int]) -> list[str]:
    """The programs connected to one of these local ports, except the pids in `besides`."""
    pids = {
        each.pid
        for each in _connections()
        if each.status == psutil.CONN_ESTABLISHED and each.raddr.ip == LOOPBACK and each.raddr.port in numbers
    }
    return sorted(describe(pid) for pid in pids - besides)


def _connections() -> list[Any]:
    """Empty where the system does not let this user see them."""
    try:
        return list(psutil.net_connections("tcp"))
    except psutil.AccessDenied:
        return []


def describe(pid: int | None) -> str:
    """Name, pid and user of a process, as far as they are known."""
    if pid is None:
        return UNKNOWN_PROGRAM
    try:
        process = psutil.Process(pid)
        return f"{process.name()} (pid {pid}, user {process.username()})"
    except psutil.Error:
        return f"pid {pid}"


def demand_free(port: int, advice: str, another: str) -> None:
    """Raises PortTaken with `advice` when a program listens, and PortHeldForTheMoment with `another` otherwise."""
    if is_free(port):
        return
    current = holder(port)
    if current.listens:
        raise PortTaken(port, current.who, advice)
    raise PortHeldForTheMoment(port, current.who, another)


class Reservations:
    """Blocks of ports for this process.

    A file lock on each ends with the process, so no two test sessions share one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unused: list[int] = []

    def choose(self, count: int) -> list[int]:
        """Different free ports that no other process chooses while this one runs."""
        chosen: list[int] = []
        while len(chosen) < count:
            if not self._unused:
                self._unused = self.reserve_block()
            port = self._unused.pop(0)
            if is_free(port):
                chosen.append(port)
        return chosen

    def reserve_block(self) -> list[int]:
        """A block that no other process has. Raises InfrastructureError when all are in use."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        blocks = list(BLOCKS)
        random.shuffle(blocks)
        for first in blocks:
            # Never closed here: the kernel closes it when this process ends, and so frees the block.
            lock = os.open(self._folder / str(first), os.O_CREAT | os.O_WRONLY, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
            else:
                return list(range(first, first + BLOCK_SIZE))
        raise InfrastructureError(f"Every block of test ports is in use; see who holds {self._folder} with fuser.")


def choose(count: int) -> list[int]:
    """Free ports from the blocks of this process."""
    return _reservations().choose(count)


@cache
def _reservations() -> Reservations:
    home = os.environ.get("XDG_CACHE_HOME") or Path(os.environ.get("HOME", "/")) / ".cache"
    return Reservations(Path(home) / "rmbrain" / "ports")
