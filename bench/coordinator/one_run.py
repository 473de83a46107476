"""One run of a simulated fleet, carried out in a process of its own, and what it cost."""

from __future__ import annotations

import asyncio
import resource
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from bench.coordinator.simulated import CountingStore, NoScheduler, SimulatedAudit, SimulatedFleet, SimulatedTopic
from coordinator.adapters.parted_documents import PartedDocuments
from coordinator.audit.drift import DriftRecorder
from coordinator.audit.event_spool import AuditSpool
from coordinator.audit.outbox_relay import OutboxRelay
from coordinator.domain.catalog_file import read_catalog
from coordinator.domain.request import read_request
from coordinator.driver.assembly import build_run_driver
from coordinator.driver.run_driver import RunDriver
from coordinator.runs.acceptance import Acceptance
from coordinator.runs.change_notifier import ChangeNotifier
from coordinator.runs.repository import RunRepository
from coordinator.steps.step_executor import Limits, StepExecutor


@dataclass(frozen=True)
class Finding:
    """One run; times in milliseconds of processor time, sizes in bytes."""

    services: int
    cpu_ms_per_step: float
    seconds: float
    writes_per_step: float
    bytes_per_step: float
    largest_document: int
    turns: int
    resident_mib: int  # the largest of the process, of which 39 are the program itself


def now() -> datetime:
    """The time of the machine, in UTC."""
    return datetime.now(UTC)


def catalog_of(services: int) -> str:
    """A fleet of so many services, the first of which keeps the audit."""
    names = "".join(f'[[services]]\nname = "s{n}"\ndatabase = "d{n}"\n' for n in range(services))
    return f'[fleet]\nname = "bench"\naudit = "s0"\n{names}'


async def measure(services: int, parallel: int) -> Finding:
    """Carries one run out from its request to its end."""
    store, scheduler = CountingStore(), NoScheduler()
    catalog = read_catalog(catalog_of(services))
    notifier = ChangeNotifier()
    runs = RunRepository(PartedDocuments(store), notifier)
    audit, topic, fleet = SimulatedAudit(), SimulatedTopic(), SimulatedFleet()
    driver = build_run_driver(
        runs=runs,
        change_notifier=notifier,
        relay=OutboxRelay(audit, topic, runs.deliveries),
        executor=StepExecutor(fleet, Limits()),
        messenger=fleet,
        scheduler=scheduler,
        catalog=catalog,
        drift_recorder=DriftRecorder(AuditSpool(audit, store), now),
        clock=now,
        planning_patience_seconds=0,
    )
    body = {"services": "all", "max_parallel": parallel, "request_id": "bench"}
    await Acceptance(runs, scheduler, catalog, now).accept(read_request(body, default_request_id="bench"))
    began, processor = time.monotonic(), time.process_time()
    turns = await _driven(driver)
    seconds, processor = time.monotonic() - began, time.process_time() - processor
    run = await runs.read("bench")
    if run is None or run.state.value != "succeeded":
        raise SystemExit(f"The run of {services} services did not succeed.")
    return Finding(
        services=services,
        cpu_ms_per_step=round(1000 * processor / services, 2),
        seconds=round(seconds, 2),
        writes_per_step=round(store.writes / services, 2),
        bytes_per_step=round(store.bytes_written / services),
        largest_document=store.largest,
        turns=turns,
        resident_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    )


def measured(services: int, parallel: int) -> Finding:
    """The same, in a process of its own, whose memory is then that of this run."""
    return asyncio.run(measure(services, parallel))


async def _driven(driver: RunDriver) -> int:
    turns = 0
    while True:
        turns += 1
        turn = await driver.drive("bench", 1)
        if turn.over:
            return turns
        await asyncio.sleep(min(turn.wait_seconds, 0.1))
