"""Dapr's placement and scheduler, on loopback only. Workflows need them, and `dapr run -f` does not start them."""

from __future__ import annotations

import base64
import json
import secrets
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import psutil

from scripts.infrastructure import loopback, ports, private
from scripts.infrastructure.settings import ControlPlanePorts, Settings
from scripts.infrastructure.supervise import Program, dying_with_us

HOST = ports.LOOPBACK
LEADERSHIP = "dapr/leadership/"  # keys that a working scheduler holds in its database
EMPTIED = (
    "Its database was emptied, so it carries nothing out. ./scripts/infra up starts it again; then open runs go on."
)


@dataclass(frozen=True)
class ControlPlane:
    """Placement and scheduler. If the scheduler's directory is lost, all active runs stop for ever."""

    settings: Settings

    @property
    def ports(self) -> ControlPlanePorts:
        """The ports of both."""
        return self.settings.control_plane

    @property
    def placement(self) -> Program:
        """Dapr's placement service."""
        numbers = self.ports
        options = {
            "port": str(numbers.placement),
            "listen-address": HOST,
            "healthz-port": str(numbers.placement_healthz),
            "healthz-listen-address": HOST,
            "metrics-port": str(numbers.placement_metrics),
            "metrics-listen-address": HOST,
            "initial-cluster": f"dapr-placement-0={HOST}:{numbers.placement_raft}",
        }
        return self._program("placement", options)

    @property
    def scheduler(self) -> Program:
        """Dapr's scheduler service, which stores its jobs in the state directory."""
        numbers = self.ports
        options = {
            "port": str(numbers.scheduler),
            "listen-address": HOST,
            "healthz-port": str(numbers.scheduler_healthz),
            "healthz-listen-address": HOST,
            "metrics-port": str(numbers.scheduler_metrics),
            "metrics-listen-address": HOST,
            "override-broadcast-host-port": f"{HOST}:{numbers.scheduler}",
            "etcd-data-dir": str(self.settings.state / "scheduler" / "data"),
            "etcd-client-port": str(numbers.scheduler_etcd_client),
            "etcd-client-listen-address": self._etcd_address,
            "etcd-initial-cluster": f"dapr-scheduler-server-0=http://{HOST}:{numbers.scheduler_etcd_peer}",
        }
        return self._program("scheduler", options)

    @property
    def _etcd_address_file(self) -> Path:
        return self.settings.state / "scheduler" / "etcd-address"

    @property
    def _etcd_address(self) -> str:
        """Where the scheduler's database listens. It obeys everybody, and Dapr 1.18 has no setting for a password.

        So it is an address of the loopback network that no web page can guess. Only Linux has more than one of them.
        """
        return self._etcd_address_file.read_text() if self._etcd_address_file.exists() else HOST

    def _choose_etcd_address(self) -> None:
        if sys.platform == "linux" and not self._etcd_address_file.exists():
            private.make_folder(self._etcd_address_file.parent)
            private.write(self._etcd_address_file, "127." + ".".join(str(1 + secrets.randbelow(254)) for _ in range(3)))

    def _program(self, name: str, options: dict[str, str]) -> Program:
        binary = self.settings.dapr / ".dapr" / "bin" / name
        command = [str(binary), *(part for key, value in options.items() for part in (f"--{key}", value))]
        directory = self.settings.state / name
        return Program(name, dying_with_us(command) if self.settings.dies_with_us else command, directory)

    def start(self) -> None:
        """Starts both, then waits for both. Returns when the timers of workflows will fire. Raises NotHealthy.

        A scheduler whose database was emptied is started again.
        """
        self._choose_etcd_address()
        if self.is_emptied():
            self.scheduler.stop()
        self._launch(self.placement, "placement")
        self._launch(self.scheduler, "scheduler")
        self.placement.wait_until(lambda: healthy(self.ports.placement_healthz), "its health route")
        # The scheduler's health route answers long before its timers fire. After a SIGKILL, an etcd lease of 20 seconds
        # must expire first.
        self.scheduler.wait_until(lambda: "Cron is ready" in self.scheduler.log.read_text(), "its clock", 60)

    def _launch(self, program: Program, prefix: str) -> None:
        if program.process() is None:
            for name, number in vars(self.ports).items():
                if name.startswith(prefix):
                    another = f"export DAPR_{name.upper()}_PORT={number + 1000}"
                    ports.demand_free(number, f"To use another: {another}.", another)
        program.start()

    def is_emptied(self) -> bool:
        """Whether somebody emptied the database of the running scheduler: it answers then, but no workflow moves.

        A new start heals that. False where the database does not answer.
        """
        if self.scheduler.process() is None:
            return False
        first, end = (base64.b64encode(key.encode()).decode() for key in (LEADERSHIP, LEADERSHIP[:-1] + "0"))
        url = f"http://{self._etcd_address}:{self.ports.scheduler_etcd_client}/v3/kv/range"
        body = json.dumps({"key": first, "range_end": end, "count_only": True}).encode()
        try:
            with loopback.call(urllib.request.Request(url, data=body), timeout_seconds=2) as answer:
                return "count" not in json.load(answer)
        except (OSError, ValueError):
            return False

    def users(self) -> list[str]:
        """The programs connected to these servers. Every sidecar of a fleet is connected, however it was started."""
        ours = [process for each in (self.placement, self.scheduler) if (process := each.process()) is not None]
        return ports.connected_to({_port_of(process) for process in ours}, besides={each.pid for each in ours})

    def stop(self) -> list[str]:
        """Stops both, and returns the names of those that ran.

        A scheduler that hangs is killed, and then starts more slowly.
        """
        return [program.name for program in (self.scheduler, self.placement) if program.stop()]


def _port_of(process: psutil.Process) -> int:
    """The port it listens on, even if the settings have changed since it was started."""
    command = process.cmdline()
    return int(command[command.index("--port") + 1])


def healthy(port: int) -> bool:
    """Whether /healthz on this port answers with 200."""
    try:
        with loopback.call(f"http://{HOST}:{port}/healthz", timeout_seconds=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
