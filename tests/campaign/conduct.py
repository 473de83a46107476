"""Carries a campaign out: gives runs to workers, replaces a worker that broke, and ends when every quota is met."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from hashlib import sha256
from itertools import chain, count, islice
from multiprocessing.connection import wait
from pathlib import Path
from time import monotonic

from scripts.infrastructure.errors import InfrastructureError
from tests.campaign.outcome import Outcome, Spec
from tests.campaign.schedule import Quota
from tests.campaign.workers import Worker, crew

ROOT, PACKAGE = Path(__file__).parents[2], "migration_sidecar"
IMPORTED = "signed_calls"  # by the package
MOST_BROKEN_WORKERS = 5  # one after the other: then it is the machine, and no finding
LOOK_SECONDS = 0.5
Told = Callable[[Outcome], None]


def copied(into: Path, source: Path = ROOT) -> Path:
    """The code under test as it is now: what is edited meanwhile changes nothing."""
    for package in (PACKAGE, IMPORTED):
        shutil.copytree(source / package, into / package, ignore=shutil.ignore_patterns("__pycache__"))
    return into


def digest(subject: Path) -> str:
    files = sorted((subject / PACKAGE).rglob("*.py"))
    return sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:12]


def conduct(
    quotas: list[Quota], subject: Path, folder: Path, *, jobs: int, told: Told, seconds: float = float("inf")
) -> None:
    """In about that order; `told` hears of each run as it ends. No run begins after `seconds`."""
    by_name = {quota.name: quota for quota in quotas}
    names, broken, until = count(jobs), 0, monotonic() + seconds
    with crew(jobs, subject, folder) as workers:
        while True:
            idle = [worker for worker in workers if worker.spec is None]
            for worker, spec in zip(idle, _next(quotas, len(idle) if monotonic() < until else 0), strict=False):
                worker.give(spec)
            busy = [worker for worker in workers if worker.spec is not None]
            if not busy:
                return
            wait([worker.channel for worker in busy], timeout=LOOK_SECONDS)
            for worker in busy:
                outcome = worker.outcome()
                if outcome is None:
                    continue
                by_name[outcome.spec["quota"]].came_back(outcome)
                told(outcome)
                if worker.spec is None:
                    broken = 0
                    continue
                broken += 1
                if broken >= MOST_BROKEN_WORKERS:
                    raise InfrastructureError(
                        f"{broken} workers broke one after the other: {[*outcome.violations, *outcome.own_troubles][0]}"
                    )
                worker.end()
                workers[workers.index(worker)] = Worker(subject, folder / f"worker-{next(names)}")


def _next(quotas: list[Quota], most: int) -> list[Spec]:
    return list(islice(chain.from_iterable(quota.specs() for quota in quotas), most))
