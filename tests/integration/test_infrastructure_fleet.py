"""A fleet that does not come up says why, here with a launcher and a sidecar that only pretend."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from scripts.infrastructure import fleet as fleet_module
from scripts.infrastructure import ports
from scripts.infrastructure.errors import ApplicationEnded, NotHealthy
from scripts.infrastructure.fleet import COORDINATOR, Fleet
from scripts.infrastructure.render import Rendering, read_fleet, render_fleet
from scripts.infrastructure.settings import Settings

StartFleet = Callable[[str], Fleet]


class NobodyBehind(BaseHTTPRequestHandler):
    """What daprd answers while its application does not."""

    def do_GET(self) -> None:
        self.send_error(500)

    def log_message(self, format: str, *_: object) -> None:
        """Nobody wants to know."""


@pytest.fixture
def start_fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StartFleet]:
    """The coordinator's command is `sleep 61`; the launcher starts what it is told to."""
    monkeypatch.setattr(fleet_module, "SECONDS_TO_APPEAR", 0.3)
    settings = replace(Settings(), state=tmp_path, dapr=tmp_path)
    file = render_fleet(tmp_path / "fleet", Rendering(settings, free_ports=True))
    document = yaml.safe_load(file.read_text())
    document["apps"][0]["command"] = ["sleep", "61"]
    file.write_text(yaml.safe_dump(document))
    fleet = Fleet(settings, file)
    sidecar = ThreadingHTTPServer((ports.LOOPBACK, read_fleet(file)[COORDINATOR]["daprHTTPPort"]), NobodyBehind)

    def start(launches: str) -> Fleet:
        (tmp_path / "dapr").write_text(f"#!/bin/sh\n{launches}\nsleep 60\n")
        (tmp_path / "dapr").chmod(0o755)
        fleet.program.start()
        return fleet

    threading.Thread(target=sidecar.serve_forever, daemon=True).start()
    with sidecar:
        yield start
        sidecar.shutdown()
        fleet.stop()


def test_an_application_that_was_killed_is_named_instead_of_waited_for(start_fleet: StartFleet) -> None:
    with pytest.raises(ApplicationEnded, match=r"migration-coordinator has ended.*\./scripts/stop, then .*quickstart"):
        start_fleet("").wait(timeout_seconds=30)


def test_an_application_that_is_slow_to_listen_is_waited_for(start_fleet: StartFleet) -> None:
    with pytest.raises(NotHealthy, match="time was up while waiting for migration-coordinator"):
        start_fleet("sleep 61 &").wait(timeout_seconds=1.5)
