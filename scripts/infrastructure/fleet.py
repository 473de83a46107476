"""The whole fleet under `dapr run`: starts it in its own session, and stops it with all its processes."""

from __future__ import annotations

import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scripts.infrastructure import bounded_log, loopback, ports, private
from scripts.infrastructure.dapr_tokens import FOLDER
from scripts.infrastructure.errors import ApplicationEnded, NotHealthy, RunsByHand, SidecarsEnded
from scripts.infrastructure.fleet_logs import last_log_lines, log_folder, prune
from scripts.infrastructure.fleet_processes import FleetProcesses
from scripts.infrastructure.infrastructure import silent
from scripts.infrastructure.inherited import inherited, of_a_fleet
from scripts.infrastructure.render import PORT_KEYS, Rendering, has_all_roles, read_fleet, render_fleet
from scripts.infrastructure.settings import ROOT, Settings
from scripts.infrastructure.supervise import Program, dying_with_us, end
from signed_calls import sidecar_token

COORDINATOR = "migration-coordinator"
# After its sidecar. dapr run starts no application a second time, so waiting longer for an ended one is useless.
SECONDS_TO_APPEAR = 20.0


@dataclass(frozen=True)
class Fleet:
    """One fleet; `file` is the committed dapr.yaml or a rendered copy of it."""

    settings: Settings
    file: Path = ROOT / "dapr.yaml"
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings, environment: Mapping[str, str]) -> Fleet:
        """Uses the committed files if servers, ports and logins are the default ones, and renders a copy otherwise."""
        if settings.matches_the_committed_files and has_all_roles(settings):
            return cls(settings, environment=environment)
        return cls(settings, render_fleet(settings.state / "fleet", Rendering(settings)), environment)

    @classmethod
    def known(cls, settings: Settings) -> list[Fleet]:
        """Each fleet that may run with these settings.

        They are the rendered one, and the committed one if the state directory is the default.
        """
        rendered = settings.state / "fleet" / "dapr.yaml"
        committed = [cls(settings)] if settings.state == Settings.state else []
        return [*committed, *([cls(settings, rendered)] if rendered.exists() else [])]

    @property
    def program(self) -> Program:
        """The `dapr run` of this fleet."""
        command = [str(self.settings.dapr / "dapr"), "run", "-f", str(self.file)]
        return Program(
            name="dapr-run",
            # SIGTERM, not SIGKILL: only `dapr run` can end what it started.
            command=dying_with_us(command, signal.SIGTERM) if self.settings.dies_with_us else command,
            directory=self.settings.state,
            # Without this, `dapr run -f` lets daprd advertise the external address of the machine.
            environment={
                "DAPR_RUNTIME_PATH": str(self.settings.dapr),
                "DAPR_HOST_IP": ports.LOOPBACK,
                FOLDER: str(self.settings.dapr_tokens.folder.absolute()),
                **self.environment,
            },
            inherits=of_a_fleet(),
            ends_descendants=True,
        )

    @property
    def log_keeper(self) -> Program:
        """The process that keeps the log of this `dapr run` small; it ends with `dapr run`."""
        return bounded_log.keeper_of(self.program, ROOT)

    @property
    def log(self) -> Path:
        """The log of our own `dapr run`, or the log folder of a `dapr run` that was started by hand."""
        return self.program.log if self.program.pid_file.exists() else log_folder(self.file, COORDINATOR)

    @property
    def sidecar(self) -> str:
        """The URL of the coordinator's daprd."""
        return f"http://{ports.LOOPBACK}:{read_fleet(self.file)[COORDINATOR]['daprHTTPPort']}"

    @property
    def token(self) -> str:
        """The token that the coordinator's sidecar demands; empty if it demands none."""
        return self.token_of(COORDINATOR)

    def token_of(self, name: str) -> str:
        """The token that the sidecar of an application demands. One variable for all of them counts more."""
        given = {**self.settings.dapr_tokens.environment(name), **inherited(of_a_fleet()), **self.environment}
        return given.get(sidecar_token.VARIABLE, "")

    def request(self, path: str, data: bytes | None = None) -> urllib.request.Request:
        """A request for the coordinator's sidecar, with the token."""
        headers = {"content-type": "application/json", sidecar_token.HEADER: self.token}
        return urllib.request.Request(f"{self.sidecar}{path}", data=data, headers=headers)

    @property
    def processes(self) -> FleetProcesses:
        """Finds the processes of this fleet."""
        return FleetProcesses(self.file, self.program.pid_file)

    def start(self, say: Callable[[str], None] = silent) -> None:
        """Does nothing while it runs. First ends processes that a killed `dapr run` left behind.

        Raises RunsByHand, PortTaken or PortHeldForTheMoment.
        """
        if self.program.process() is not None:
            return
        processes = self.processes.find()
        if processes.launchers:
            raise RunsByHand(ports.describe(processes.launchers[0].pid))
        if processes.without_launcher or self.program.has_descendants():
            say("ending what an earlier start of this fleet left behind")
            self.stop()
        for name, application in read_fleet(self.file).items():
            for key in PORT_KEYS:
                where = f"{key} of {name} in {self.file}"
                ports.demand_free(application[key], f"It is {where}: stop that program first.", where)
        for home in {self.file.parent / application["appDirPath"] for application in read_fleet(self.file).values()}:
            private.keep_dapr_folder(home)
            prune(home / ".dapr" / "logs")
        self.program.start()
        self.log_keeper.start()

    def lost_sidecars(self) -> SidecarsEnded | None:
        """Sidecars that have ended, although their application or a later one runs; None when there are none."""
        names = self.processes.find().lost_sidecars(list(read_fleet(self.file)))
        if not names:
            return None
        all_last_words = [last_log_lines(self.file, name, self.program.log) for name in names]
        last = max(all_last_words, key=lambda words: ("level=fatal" in words.line, bool(words.line)))
        return SidecarsEnded(names, last.log, last.line)

    def wait(self, say: Callable[[str], None] = silent, timeout_seconds: float = 180) -> None:
        """Waits until the coordinator is ready and every service answers through the coordinator's sidecar.

        Raises NotHealthy, SidecarsEnded or ApplicationEnded.
        """
        deadline = time.monotonic() + timeout_seconds
        routes = {name: "readyz" if name == COORDINATOR else "healthz" for name in read_fleet(self.file)}
        for name, route in routes.items():
            self._wait_for(name, self.request(f"/v1.0/invoke/{name}/method/{route}"), deadline)
            say(name)

    def _wait_for(self, name: str, request: urllib.request.Request, deadline: float) -> None:
        healthy_at = time.monotonic()
        while (answer := answer_of(request)) != "200":
            now = time.monotonic()
            if self.program.process() is None:
                raise NotHealthy("dapr run", f"{name} ({answer})", "it ended", self.program.log)
            if now > deadline:
                raise NotHealthy("The fleet", f"{name} ({answer})", "time was up", self.program.log)
            lost = self.lost_sidecars() or self._lost_application(name)
            healthy_at = healthy_at if lost else now
            if lost and now - healthy_at > SECONDS_TO_APPEAR:
                raise lost
            time.sleep(0.2)

    def _lost_application(self, name: str) -> ApplicationEnded | None:
        """An error if the sidecar listens, but the application does not and has no process that could still start."""
        if ports.is_free(self._port(name, "daprHTTPPort")) or not ports.is_free(self._port(name, "appPort")):
            return None
        command = read_fleet(self.file)[name]["command"][1:]
        if any(words[1:] == command for words in self.program.command_lines()):
            return None
        return ApplicationEnded(name, self._port(name, "appPort"), self.program.log)

    def _port(self, name: str, key: str) -> int:
        port: int = read_fleet(self.file)[name][key]
        return port

    def stop(self) -> bool:
        """Also stops a fleet that was started by hand, and processes without a launcher.

        Returns whether anything ran.
        """
        stopped = self.program.stop()
        self.log_keeper.stop()
        processes = self.processes.find()
        # The launcher first: it ends what it started, in order.
        end(processes.launchers, "dapr run")
        end(processes.without_launcher, "a process of the fleet")
        return stopped or bool(processes.everything)


def answer_of(request: urllib.request.Request) -> str:
    """The HTTP status code as text, or the reason why there is none."""
    try:
        with loopback.call(request, timeout_seconds=5) as answer:
            return str(answer.status)
    except urllib.error.HTTPError as error:
        return f"{error.code}: {error.read(200).decode(errors='replace')}"
    except OSError as error:
        return str(error)
