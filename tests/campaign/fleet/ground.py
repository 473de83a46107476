"""The fleet of a campaign, started once under real Dapr from a copy of the code, with a second coordinator."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import psutil

from scripts.infrastructure import ports
from scripts.infrastructure.catalog import members
from scripts.infrastructure.errors import InfrastructureError
from scripts.infrastructure.fleet import COORDINATOR, Fleet
from scripts.infrastructure.infrastructure import Infrastructure
from scripts.infrastructure.render import AUDIT, PORT_KEYS, Rendering, read_fleet, render_fleet
from scripts.infrastructure.settings import ROOT, Settings
from tests.campaign.fleet.revisions import History
from tests.end_to_end.ground import ENDED, Ground, Killed, keep_log, listening_on

CODE = ("coordinator", "migration_sidecar", "signed_calls")
DATABASES = {member.name: member.database for member in members()}
FOLDERS = {member.name: Path(member.folder).name for member in members()}
SERVICES = tuple(name for name in DATABASES if name != AUDIT)
# One chain and one that depends on nobody, so that there is an order to be kept.
AFTER = {"cds-document": "cds-client", "cds-product": "cds-document"}
REPLICA = "replica"
READY_SECONDS = 120.0


@dataclass
class CampaignGround:
    """A fleet, the histories of its services, and how each of its processes is found."""

    ground: Ground
    subject: Path
    log: Path
    histories: dict[str, History] = field(default_factory=dict)
    replica: dict[str, int] = field(default_factory=dict)  # the ports of the second coordinator, where there is one

    def port(self, place: str) -> int:
        """Of an application, or of its daprd where the name ends so."""
        name = place.removesuffix(" daprd")
        key = "daprHTTPPort" if " daprd" in place else "appPort"
        if name == REPLICA:
            return self.replica[key]
        return int(read_fleet(self.ground.fleet.file)[name][key])

    def process(self, place: str) -> psutil.Process:
        infrastructure = self.ground.infrastructure
        programs = {
            "placement": infrastructure.control_plane.placement,
            "scheduler": infrastructure.control_plane.scheduler,
            "redis": infrastructure.redis.program,
            "postgres": infrastructure.postgres.program,
        }
        if place not in programs:
            return listening_on(self.port(place))
        process = programs[place].process()
        if process is None:
            raise InfrastructureError(f"{place} does not run")
        return process

    def coordinators(self) -> list[str]:
        return [COORDINATOR, *([REPLICA] if self.replica else [])]

    def workflow(self, instance: str, verb: str = "") -> httpx.Response:
        """Dapr's own route for a workflow, as somebody at the machine would use it."""
        url = f"{self.ground.sidecar}/v1.0/workflows/dapr/{instance}{verb and '/' + verb}"
        method = "POST" if verb else "GET"
        return httpx.request(method, url, headers=self.ground.token, timeout=10)

    def begin_anew(self) -> None:
        """Empty databases, then each at its first revision with marks; for the first run and after a violation."""
        self.ground.empty_databases()
        for name, folder in FOLDERS.items():
            if name != AUDIT:
                versions = self.ground.sources / "services" / folder / "alembic" / "versions"
                for file in versions.glob("9*.py"):
                    file.unlink()
                self.histories[name] = History.begun(self.ground.sources, folder)
        self.ready()
        request = f"base-{time.monotonic_ns()}"
        body = {"request_id": request, "services": "all", "max_parallel": 4}
        self.ground.ask("POST", "/migrations", json=body).raise_for_status()
        run = self.ground.run_when(request, lambda run: run["state"] in ENDED and run["audit"] == "recorded", 180)
        if run["state"] != "succeeded":
            raise InfrastructureError(f"the fleet could not be prepared: {run['state']} {run['error']}")

    def ready(self, timeout_seconds: float = READY_SECONDS) -> None:
        """Every process that should run does, and every service answers through the coordinator's sidecar."""
        deadline = time.monotonic() + timeout_seconds
        missing: Any = None
        for name in (COORDINATOR, *DATABASES):
            route = "/readyz" if name == COORDINATOR else "/healthz"
            while True:
                try:
                    url = f"{self.ground.sidecar}/v1.0/invoke/{name}/method{route}"
                    answer = httpx.get(url, headers=self.ground.token, timeout=5)
                    if answer.status_code == httpx.codes.OK:
                        break
                    missing = answer.text[:200]
                except httpx.HTTPError as error:
                    missing = error
                if time.monotonic() > deadline:
                    raise InfrastructureError(f"{name} is not ready after {timeout_seconds:.0f} s: {missing}")
                time.sleep(0.2)

    def start_replica(self) -> None:
        """A second coordinator with a daprd of its own, on free ports, like the first in everything else."""
        now = read_fleet(self.ground.fleet.file)[COORDINATOR]
        self.replica = dict(zip(PORT_KEYS, ports.choose(len(PORT_KEYS)), strict=True))
        moved = {str(now[key]): str(number) for key, number in self.replica.items()}
        for place in (f"{COORDINATOR} daprd", COORDINATOR):
            copy = Killed.soon(self.process(place), self.log)
            copy.command = [moved.get(word, word) for word in copy.command]
            copy.environment = {key: moved.get(value, value) for key, value in copy.environment.items()}
            copy.again()
            _listening(self.port(place.replace(COORDINATOR, REPLICA)))


def _listening(port: int) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while ports.is_free(port):
        if time.monotonic() > deadline:
            raise InfrastructureError(f"nothing listens on port {port}")
        time.sleep(0.1)


def copied(into: Path, source: Path = ROOT) -> Path:
    """The code under test as it is now: what is edited meanwhile changes nothing."""
    for package in CODE:
        shutil.copytree(source / package, into / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(source / "services", into / "services", ignore=shutil.ignore_patterns("__pycache__"))
    into.joinpath("fleet.toml").write_text(with_order(source.joinpath("fleet.toml").read_text()))
    return into


def with_order(catalog: str) -> str:
    for name, before in AFTER.items():
        catalog = catalog.replace(f'name = "{name}"\n', f'name = "{name}"\ndepends_on = ["{before}"]\n')
    return catalog


def digest(subject: Path) -> str:
    files = sorted(file for package in CODE for file in (subject / package).rglob("*.py"))
    return sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:12]


@contextmanager
def standing_campaign(folder: Path, subject: Path, *, replica: bool) -> Iterator[CampaignGround]:
    """Everything is stopped at the end, also after a failure. `subject` is the copy of the code."""
    settings = Settings.private(folder / "state")
    infrastructure = Infrastructure(settings)
    file = folder / "fleet" / "dapr.yaml"
    ground = Ground(infrastructure, Fleet(settings, file, {"MIGRATE_ON_STARTUP": "check"}), subject)
    campaign = CampaignGround(ground, subject, folder / "started-again.log")
    os.environ["PYTHONPATH"] = str(subject)  # which the fleet inherits
    try:
        infrastructure.up()
        render_fleet(file.parent, Rendering(settings, root=subject, free_ports=True))
        ground.fleet.start()
        ground.fleet.wait()
        if replica:
            campaign.start_replica()
        campaign.begin_anew()
        yield campaign
    finally:
        keep_log(ground)
        ground.fleet.stop()
        infrastructure.down()
