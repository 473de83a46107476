"""The coordinator, the audit and one service under `dapr run`, with servers and a control plane of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from scripts.infrastructure.databases import create_database
from scripts.infrastructure.fleet import COORDINATOR, Fleet
from scripts.infrastructure.infrastructure import Infrastructure
from scripts.infrastructure.render import AUDIT, Rendering, read_fleet, render_fleet
from scripts.infrastructure.settings import Settings

SERVICE = "cds-client"
MEMBERS = {AUDIT: "cas_audit", SERVICE: "cds_client"}
CATALOG = """
[fleet]
name = "small"
audit = "cas-audit"
[[services]]
name = "cas-audit"
database = "cas_audit"
[[services]]
name = "cds-client"
database = "cds_client"
[[services]]
name = "bff-service"
no_database = "it only calls other services"
"""


@dataclass(frozen=True)
class SmallFleet:
    file: Path

    def url(self, application: str) -> str:
        """The application itself, not through a sidecar: nothing in between refuses or mends a request."""
        return f"http://127.0.0.1:{read_fleet(self.file)[application]['appPort']}"


@contextmanager
def small_fleet(folder: Path) -> Iterator[SmallFleet]:
    """Both databases are at their heads."""
    catalog = folder / "fleet.toml"
    catalog.write_text(CATALOG)
    settings = Settings.private(folder / "state")
    infrastructure = Infrastructure(settings)
    # The requests are made up by a generator, which has no key; who may call is tested elsewhere.
    rendering = Rendering(settings, free_ports=True, environment={"CALL_SIGNATURES": "off"})
    file = folder / "fleet" / "dapr.yaml"
    environment = {"MIGRATE_ON_STARTUP": "apply", "COORDINATOR_CATALOG": str(catalog), "APP_API_TOKEN": ""}
    fleet = Fleet(settings, file, environment)
    try:
        infrastructure.up()
        written = yaml.safe_load(render_fleet(file.parent, rendering).read_text())
        written["apps"] = [each for each in written["apps"] if each["appID"] in (COORDINATOR, *MEMBERS)]
        file.write_text(yaml.safe_dump(written))
        for database in MEMBERS.values():
            create_database(settings.postgres, database)
        infrastructure.give_databases()
        fleet.start()
        fleet.wait()
        yield SmallFleet(file)
    finally:
        fleet.stop()
        infrastructure.down()
