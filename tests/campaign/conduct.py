"""Carries a campaign out on worker processes, each with a PostgreSQL of its own, and keeps every outcome."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from hashlib import sha256
from multiprocessing import get_context
from multiprocessing.util import Finalize
from pathlib import Path

from tests.campaign.ground import Ground
from tests.campaign.outcome import Outcome, Spec
from tests.campaign.races import race
from tests.campaign.runs import carry_out
from tests.campaign.schedule import Quota
from tests.campaign.service import Zygote

PACKAGE = Path(__file__).parents[2] / "migration_sidecar"
Told = Callable[[Outcome], None]


def copied(into: Path) -> Path:
    """The code under test as it is now: what is edited meanwhile changes nothing."""
    shutil.copytree(PACKAGE, into / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    return into


def digest(subject: Path) -> str:
    files = sorted((subject / PACKAGE.name).rglob("*.py"))
    return sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:12]


@dataclass(frozen=True)
class Record:
    """Every outcome as one line; what an earlier session of the same campaign made is counted again."""

    file: Path
    subject: str

    def earlier(self) -> Iterator[Outcome]:
        if self.file.exists():
            for line in self.file.read_text().splitlines():
                kept = json.loads(line)
                if kept.pop("subject") == self.subject:
                    yield Outcome(**kept)

    def keep(self, outcome: Outcome) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a") as file:
            file.write(json.dumps({"subject": self.subject, **asdict(outcome)}, default=str) + "\n")


def conduct(quotas: list[Quota], subject: Path, folder: Path, *, jobs: int, told: Told) -> list[Outcome]:
    """All of them, in about that order; `told` hears of each as it ends."""
    outcomes: list[Outcome] = []
    by_name = {quota.name: quota for quota in quotas}
    with ProcessPoolExecutor(jobs, get_context("spawn"), _begin_worker, (subject, folder)) as pool:
        flying: set[Future[Outcome]] = set()
        while True:
            flying |= {pool.submit(_work, spec) for spec in _next(quotas, jobs - len(flying))}
            if not flying:
                return outcomes
            ended, flying = wait(flying, return_when=FIRST_COMPLETED)
            for each in ended:
                outcome = each.result()
                by_name[outcome.spec["quota"]].came_back(outcome)
                outcomes.append(outcome)
                told(outcome)


def _next(quotas: list[Quota], most: int) -> list[Spec]:
    found: list[Spec] = []
    for quota in quotas:
        for spec in quota.specs() if len(found) < most else ():
            found.append(spec)
            if len(found) >= most:
                break
    return found


class Worker:
    """The parts that outlive single runs."""

    ground: Ground
    zygote: Zygote


def _begin_worker(subject: Path, folder: Path) -> None:
    from os import getpid

    Worker.ground = Ground(folder / str(getpid()), subject)
    Finalize(None, Worker.ground.close, exitpriority=10)
    Worker.ground.open()
    Worker.zygote = Zygote(subject, Worker.ground.folder / "zygote.log")
    Finalize(None, Worker.zygote.close, exitpriority=20)


def _work(spec: Spec) -> Outcome:
    return (race if spec.part == "D" else carry_out)(spec, Worker.ground, Worker.zygote)
