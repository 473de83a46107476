"""What callers can do to an application without a word of HTTP: go away, or hold connections and say nothing."""

from __future__ import annotations

import os
import re
import resource
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from scripts.infrastructure import ports
from tests.integration.databases import Database

ROOT = Path(__file__).parents[2]
APPLICATIONS = {
    "coordinator.app:app": ["/migrations", "/plans", "/events/migrate-requested", "/events/migrate-requested-dead"],
    "services.cas_service.app:app": ["/migrations/operations", "/audit/events"],
    "services.client_service.app:app": ["/migrations/operations"],
}
every_application = pytest.mark.parametrize("application", APPLICATIONS)
TIMES = 100


@dataclass
class Served:
    port: int
    log: Path

    def alive(self) -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(f"http://127.0.0.1:{self.port}/healthz", timeout=5, trust_env=False).status_code == 200
        return False

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=5)


@contextmanager
def served(application: str, database: Database, log: Path, open_files: tuple[int, int]) -> Iterator[Served]:
    """Its own process, with the soft and the hard limit of open files that a shell might have."""
    (port,) = ports.choose(1)
    command = [sys.executable, "-m", "uvicorn", application, "--host", "127.0.0.1", "--port", str(port)]
    settings = {"DATABASE_URL": database.url, "MIGRATE_ON_STARTUP": "off", "DAPR_HTTP_PORT": "9", "PYTHONPATH": "."}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*command, "--no-access-log"],
            cwd=ROOT,
            env={**os.environ, **settings},
            stdout=file,
            stderr=file,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, open_files),
        )
    server = Served(port, log)
    try:
        wait_for(server.alive)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(what: Callable[[], bool], seconds: float = 60) -> None:
    give_up = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < give_up
        time.sleep(0.1)


def abort(server: Served, path: str) -> None:
    """Half a body, and a reset instead of the rest."""
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n"
    with server.connect() as connection:
        connection.sendall(head.encode() + b'{"services": "all"')
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@every_application
def test_a_caller_that_goes_away_while_its_body_is_read_leaves_nothing_in_the_log(
    application: str, database: Database, tmp_path: Path
) -> None:
    with served(application, database, tmp_path / "log", (4096, 4096)) as server:
        before = server.log.stat().st_size
        for path in APPLICATIONS[application]:
            for _ in range(TIMES):
                abort(server, path)
        assert server.alive()
        said = server.log.read_bytes()[before:].decode()
    assert "Traceback" not in said
    assert "ClientDisconnect" not in said
    assert len(said) < 100 * TIMES


@every_application
def test_more_idle_connections_than_the_soft_limit_leave_live_health_as_it_is(
    application: str, database: Database, tmp_path: Path
) -> None:
    with served(application, database, tmp_path / "log", (128, 4096)) as server, ExitStack() as held:
        for _ in range(400):
            held.enter_context(server.connect())
        assert server.alive()


def test_connections_that_cannot_be_accepted_are_told_once_and_not_thousands_of_times(
    database: Database, tmp_path: Path
) -> None:
    with served("services.client_service.app:app", database, tmp_path / "log", (128, 128)) as server:
        with ExitStack() as held:
            for _ in range(200):
                held.enter_context(server.connect())
            wait_for(lambda: "connections_cannot_be_accepted" in server.log.read_text())
            time.sleep(3)  # asyncio tries again each second
            said = server.log.read_text()
        assert "Traceback" not in said
        assert len(re.findall("connections_cannot_be_accepted", said)) == 1
        assert len(said) < 10_000
        wait_for(server.alive)
