"""Who owns a port, and which ones are free."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import psutil

from scripts.infrastructure.errors import PortTaken

LOOPBACK = "127.0.0.1"


def is_free(port: int) -> bool:
    """Whether a program could listen there now; a connection in TIME_WAIT does not count as taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def owner(port: int) -> str:
    """Names who listens, as far as this user may see it."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return "a program this user may not see"
    for connection in connections:
        listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
        if listens and connection.pid:
            return _describe(connection.pid)
    return "a program this user may not see"


def _describe(pid: int) -> str:
    try:
        process = psutil.Process(pid)
        return f"{process.name()} (pid {pid}, user {process.username()})"
    except psutil.Error:
        return f"pid {pid}"


def demand_free(port: int, advice: str) -> None:
    """Raises PortTaken with the owner's name; `advice` is the sentence that says what to do."""
    if not is_free(port):
        raise PortTaken(port, owner(port), advice)


def choose(count: int) -> list[int]:
    """Distinct ports the kernel holds free at this moment; somebody else may take one before we do."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [each.getsockname()[1] for each in sockets]
