"""Who owns a port, and which ones are free."""

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
UNSEEN = "a program this user may not see"
# Below the ports that the kernel gives to outgoing connections: one of those could take a port between choice and use.
BLOCK_SIZE = 100
BLOCKS = range(20_000, 32_000, BLOCK_SIZE)


def is_free(port: int) -> bool:
    """Whether a program could listen there now; what is left of a connection that was made to us does not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


@dataclass(frozen=True)
class Holder:
    """Who has a port; `listens` is false for an outgoing connection, which gives the port back by itself."""

    who: str
    listens: bool = True


def owner(port: int) -> str:
    """Names who listens, or else who is connected from there, as far as this user may see it."""
    return holder(port).who


def holder(port: int) -> Holder:
    connections = [each for each in _connections() if each.laddr and each.laddr.port == port]
    connections.sort(key=lambda connection: (connection.status != psutil.CONN_LISTEN, not connection.pid))
    if not connections:
        return Holder(UNSEEN)
    first = connections[0]
    if first.status == psutil.CONN_LISTEN:
        return Holder(describe(first.pid))
    if first.status == psutil.CONN_TIME_WAIT:
        return Holder("a connection that was closed a moment ago", listens=False)
    return Holder(f"an outgoing connection of {describe(first.pid)}", listens=False)


def connected_to(numbers: Set[int], besides: Set[int]) -> list[str]:
    """The programs that hold a connection to one of these ports of this machine, but for the pids of `besides`."""
    found = {
        each.pid
        for each in _connections()
        if each.status == psutil.CONN_ESTABLISHED and each.raddr.ip == LOOPBACK and each.raddr.port in numbers
    }
    return sorted(describe(pid) for pid in found - besides)


def _connections() -> list[Any]:
    """None where the system does not let this user see them."""
    try:
        return list(psutil.net_connections("tcp"))
    except psutil.AccessDenied:
        return []


def describe(pid: int | None) -> str:
    if pid is None:
        return UNSEEN
    try:
        process = psutil.Process(pid)
        return f"{process.name()} (pid {pid}, user {process.username()})"
    except psutil.Error:
        return f"pid {pid}"


def demand_free(port: int, advice: str, another: str) -> None:
    """Raises with the owner's name; `advice` is for a port where somebody listens, `another` how to choose one."""
    if is_free(port):
        return
    found = holder(port)
    if found.listens:
        raise PortTaken(port, found.who, advice)
    raise PortHeldForTheMoment(port, found.who, another)


class Reservations:
    """Blocks of ports of this process, each under a lock that ends with it, so that no two test sessions share one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unused: list[int] = []

    def choose(self, count: int) -> list[int]:
        """Distinct ports that are free now and that no other process chooses while this one lives."""
        chosen: list[int] = []
        while len(chosen) < count:
            if not self._unused:
                self._unused = self.reserve_block()
            port = self._unused.pop(0)
            if is_free(port):
                chosen.append(port)
        return chosen

    def reserve_block(self) -> list[int]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        blocks = list(BLOCKS)
        random.shuffle(blocks)
        for first in blocks:
            # Never closed: the kernel does it when this process ends, and that is what gives the block back.
            lock = os.open(self._folder / str(first), os.O_CREAT | os.O_WRONLY, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
            else:
                return list(range(first, first + BLOCK_SIZE))
        raise InfrastructureError(f"Every block of test ports is in use; see who holds {self._folder} with fuser.")


def choose(count: int) -> list[int]:
    return _reservations().choose(count)


@cache
def _reservations() -> Reservations:
    home = os.environ.get("XDG_CACHE_HOME") or Path(os.environ.get("HOME", "/")) / ".cache"
    return Reservations(Path(home) / "rmbrain" / "ports")
