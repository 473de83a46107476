"""Asks a service for its health again and again, while a long and busy migration runs in it."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.one_database.environments import Style, make_environment
from bench.one_database.ground import Ground
from bench.one_database.serving import Service, serving

PAUSE_SECONDS = 0.05
# The server and the process are busy in turn. Each second it prints more than the buffer of a pipe can hold.
LONG_REVISION = """import time

    ends = time.monotonic() + {seconds}
    while time.monotonic() < ends:
        op.execute("SELECT count(*) FROM generate_series(1, 200000)")
        sum(range(500000))
        print("x" * 100000)"""


def health_milliseconds(ground: Ground, folder: Path, seconds: int) -> list[float]:
    """The time of each answer of `/healthz`, until the migration has ended."""
    long = [(LONG_REVISION.format(seconds=seconds), "pass")]
    environment = make_environment(folder / "long", ground.url, Style.OURS, long)
    with serving(environment, folder) as service, ThreadPoolExecutor(max_workers=1) as beside:
        replace(ground, services=[service]).make_databases_anew()
        return asked_while(beside.submit(_migrate, service), lambda: service.ask("/healthz"))


def _migrate(service: Service) -> dict[str, Any]:
    return service.migrate()


def asked_while(migration: Future[dict[str, Any]], ask: Callable[[], Any]) -> list[float]:
    """The time of each call in ms. Raises the error of a failed migration."""
    answers = []
    while not migration.done():
        begun = time.perf_counter()
        ask()
        answers.append((time.perf_counter() - begun) * 1000)
        time.sleep(PAUSE_SECONDS)
    migration.result()
    return answers
