"""Ten replicas that the platform starts at the same moment, as processes of their own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from scripts.infrastructure import ports
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import StartEngine
from tests.integration.migration_sidecar.environments import (
    Environment,
    applied,
    carry_out,
    lock_is_free,
    rows,
    until,
)

WITHIN_SECONDS = 120.0  # ten processes that load Alembic on two cores
SERVE = [sys.executable, "-c", "from migration_sidecar.cli import main; main()", "serve"]

WITNESSED = """
free = op.get_bind().exec_driver_sql("SELECT pg_try_advisory_xact_lock(4711)").scalar()
op.execute("CREATE TABLE IF NOT EXISTS witness (overlap boolean)")
op.execute(f"INSERT INTO witness VALUES ({not free})")
op.execute(f"CREATE TABLE t_{revision} (id int)")
op.execute("SELECT pg_sleep(0.3)")
"""


@contextmanager
def replica(environment: Environment, port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [*SERVE, "--config", str(environment.ini), "--port", str(port)]
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            yield process
        finally:
            for child in (*psutil.Process(process.pid).children(recursive=True), process):
                child.kill()


async def ready(client: httpx.AsyncClient, port: int) -> bool:
    try:
        return (await client.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize(("existing", "replicas"), [(False, 10), (True, 4)], ids=["fresh", "existing"])
async def test_one_migrates_none_fails_and_all_become_ready(
    existing: bool,
    replicas: int,
    environment: Environment,
    start_engine: StartEngine,
    database: Database,
    tmp_path: Path,
) -> None:
    environment.revision("a1", WITNESSED)
    if existing:
        await carry_out(start_engine(environment))
    for name in ("a2", "a3"):
        environment.revision(name, WITNESSED)
    chosen = ports.choose(replicas)
    logs = [tmp_path / f"{port}.log" for port in chosen]
    with ExitStack() as running:
        started = [
            running.enter_context(replica(environment, port, log)) for port, log in zip(chosen, logs, strict=True)
        ]
        async with httpx.AsyncClient(timeout=20, trust_env=False) as client:
            for port in chosen:

                async def is_ready(port: int = port) -> bool:
                    return await ready(client, port)

                await until(is_ready, within=WITHIN_SECONDS)
            states = await asyncio.gather(*(client.get(f"http://127.0.0.1:{port}/migrations") for port in chosen))
        # Ready is who sees the head, perhaps before its own turn to find nothing left to do.
        stored = "SELECT DISTINCT state FROM migration_sidecar.operations"
        await until(lambda: rows(database, stored) == [("succeeded",)])
        assert [process.poll() for process in started] == [None] * replicas
    assert {answer.json()["state"] for answer in states} == {"at_head"}
    assert applied(database) == ["a1", "a2", "a3"]
    assert rows(database, "SELECT overlap, count(*)::int FROM witness GROUP BY 1") == [(False, 3)]
    failed = "SELECT count(*)::int FROM migration_sidecar.journal WHERE kind IN ('failed', 'refused', 'cancelled')"
    assert rows(database, failed) == [(0,)]
    assert not [log for log in logs if "Traceback" in log.read_text()]
    await until(lambda: lock_is_free(database))
