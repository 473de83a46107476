"""The service itself does nothing while a migration runs, and keeps nothing of it afterwards."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import httpx
import psutil

from scripts.infrastructure import ports
from tests.integration.databases import Database
from tests.integration.migration_sidecar.environments import Environment, rows, until
from tests.integration.migration_sidecar.test_starting_together import replica

ALIVE_WITHIN = 0.1
OPERATIONS = 100

BUSY_IN_EVERY_WAY = """
import time
op.execute("CREATE TABLE t_a1 AS SELECT i, md5(i::text) AS hash FROM generate_series(1, 300000) AS i")
end = time.monotonic() + 2
while time.monotonic() < end: sum(range(10000))
op.execute("SELECT pg_sleep(3)")
"""


@asynccontextmanager
async def served(
    environment: Environment, log: Path
) -> AsyncIterator[tuple[httpx.AsyncClient, subprocess.Popen[bytes]]]:
    (port,) = ports.choose(1)
    with replica(environment, port, log) as process:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:

            async def alive() -> bool:
                try:
                    return (await client.get("/healthz")).status_code == 200
                except httpx.HTTPError:
                    return False

            await until(alive, within=60)
            yield client, process


async def slowest_health(client: httpx.AsyncClient, service: int, enough: asyncio.Event) -> float:
    """Without the time for which both ends could have gone on but other programs had the cores."""
    slowest = 0.0
    while not enough.is_set():
        begun, kept_waiting = monotonic(), seconds_without_a_core(service)
        assert (await client.get("/healthz")).status_code == 200
        kept_waiting = seconds_without_a_core(service) - kept_waiting
        slowest = max(slowest, monotonic() - begun - kept_waiting)
        await asyncio.sleep(0.05)
    return slowest


def seconds_without_a_core(service: int) -> float:
    """Of the service and of this program, as the kernel counts it: the second figure, in nanoseconds."""
    threads = [Path(f"/proc/{pid}/task/{pid}/schedstat") for pid in (service, os.getpid())]
    return sum(int(thread.read_text().split()[1]) for thread in threads) / 1e9


async def test_live_health_answers_at_once_during_a_long_migration(
    environment: Environment, database: Database, tmp_path: Path
) -> None:
    async with served(environment, tmp_path / "log") as (client, process):
        environment.revision("a1", BUSY_IN_EVERY_WAY)
        wanted = {"operation_id": "long", "target": "head"}
        assert (await client.post("/migrations/operations", json=wanted)).status_code == 202
        enough = asyncio.Event()
        watching = asyncio.create_task(slowest_health(client, process.pid, enough))
        states = []
        while not states or states[-1] in ("accepted", "running"):
            answer = await client.get("/migrations/operations/long", params={"wait_seconds": 1})
            states.append(answer.json()["state"])
        enough.set()
        assert await watching < ALIVE_WITHIN
        assert states[-1] == "succeeded"
        assert len(states) > 4


def kept(process: psutil.Process, database: Database) -> tuple[int, int, int]:
    """Open descriptors, processes, and sessions of the service."""
    sessions = rows(database, "SELECT count(*)::int FROM pg_stat_activity WHERE application_name LIKE 'migration-%'")
    return process.num_fds(), len(process.children(recursive=True)), sessions[0][0]


async def test_a_hundred_operations_leave_nothing_behind(
    environment: Environment, database: Database, tmp_path: Path
) -> None:
    environment.revision("a1")
    newest = environment.revision("a2")
    async with served(environment, tmp_path / "log") as (client, process):
        service = psutil.Process(process.pid)

        async def migrate(number: int) -> None:
            up = number % 2 == 0
            wanted = {
                "operation_id": f"turn-{number}",
                "action": "upgrade" if up else "downgrade",
                "target": "a2" if up else "a1",
            }
            answer = await client.post("/migrations/operations", params={"wait_seconds": 20}, json=wanted)
            assert answer.json()["state"] == "succeeded", answer.text

        for number in range(-20, 0):  # what grows once is no leak
            await migrate(number)
        before, size = kept(service, database), service.memory_info().rss
        for number in range(OPERATIONS):
            await migrate(number)

        def as_before() -> bool:
            return all(now <= then for now, then in zip(kept(service, database), before, strict=True))

        await until(as_before)
        assert service.memory_info().rss < size * 1.2
        assert newest.exists()
