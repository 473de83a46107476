"""Environments and engines for one test; the process that forks is shared, because it takes a second to start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import migration_sidecar.engine.engine
from migration_sidecar.engine.engine import Engine
from migration_sidecar.forkserver.client import ForkserverClient, WorkerProcess
from migration_sidecar.protocol.jobs import Job
from migration_sidecar.protocol.orders import OrdersMessage
from migration_sidecar.protocol.reports import Report
from tests.integration.databases import Database
from tests.integration.migration_sidecar.environments import Environment
from tests.protocol_messages import check

MakeEnvironment = Callable[..., Environment]
StartEngine = Callable[..., Engine]


class SharedProcesses(ForkserverClient):
    """Outlives the engines of single tests."""

    def stop(self) -> None:
        if not self.is_running:
            super().stop()

    def really_stop(self) -> None:
        super().stop()


@pytest.fixture(scope="session")
def shared_processes() -> Iterator[SharedProcesses]:
    processes = SharedProcesses()
    yield processes
    processes.really_stop()


@dataclass
class Messages:
    """What crossed the border between the service and its worker processes in one test."""

    jobs: list[Job] = field(default_factory=list)
    orders: list[OrdersMessage] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)


@pytest.fixture(autouse=True)
def messages(monkeypatch: pytest.MonkeyPatch) -> Iterator[Messages]:
    """In every test, each job, order and report is one that `migration_sidecar.protocol` declares."""
    noted = Messages()
    run, order, reports = ForkserverClient.run, WorkerProcess.send_orders, WorkerProcess.reports

    def noting_run(processes: ForkserverClient, job: Job) -> AbstractAsyncContextManager[WorkerProcess]:
        noted.jobs.append(job)
        return run(processes, job)

    async def noting_order(process: WorkerProcess, orders: OrdersMessage) -> None:
        noted.orders.append(orders)
        await order(process, orders)

    async def noting_reports(process: WorkerProcess) -> AsyncGenerator[Report, None]:
        async with aclosing(reports(process)) as each:
            async for report in each:
                noted.reports.append(report)
                yield report

    monkeypatch.setattr(ForkserverClient, "run", noting_run)
    monkeypatch.setattr(WorkerProcess, "send_orders", noting_order)
    monkeypatch.setattr(WorkerProcess, "reports", noting_reports)
    yield noted
    for job in noted.jobs:
        check(job, Job)
    for orders in noted.orders:
        check(orders, OrdersMessage)
    for report in noted.reports:
        check(report, Report)


@pytest.fixture
def make_environment(tmp_path: Path, database: Database) -> MakeEnvironment:
    """`template` is one of Alembic's own: generic or async."""

    def make(template: str = "generic", url: str | None = None, name: str = "orders") -> Environment:
        return Environment(
            tmp_path / name, url or (database.async_url if template == "async" else database.url), template
        )

    return make


@pytest.fixture
def environment(make_environment: MakeEnvironment) -> Environment:
    return make_environment()


@pytest.fixture
async def start_engine(
    shared_processes: SharedProcesses, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[StartEngine]:
    """Engines that are closed when the test ends; `own_processes` for tests that harm them."""
    engines: list[Engine] = []

    def start(environment: Environment, *, own_processes: bool = False, **settings: Any) -> Engine:
        with monkeypatch.context() as patch:
            if not own_processes:
                patch.setattr(migration_sidecar.engine.engine, "ForkserverClient", lambda *_: shared_processes)
            engines.append(Engine(environment.settings(**settings)))
        return engines[-1]

    yield start
    await asyncio.gather(*(engine.close() for engine in engines))


@pytest.fixture
def engine(environment: Environment, start_engine: StartEngine) -> Engine:
    return start_engine(environment)
