"""What bench/fleet measures: its own servers, the fleet under `dapr run`, and empty databases."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url

from bench.databases import make_anew, revision_of
from scripts.infrastructure.catalog import FleetMember, members
from scripts.infrastructure.fleet import Fleet
from scripts.infrastructure.infrastructure import Infrastructure
from scripts.infrastructure.render import Rendering, read_fleet, render_fleet
from scripts.infrastructure.settings import Settings

SETTLE_SECONDS = 7.0  # longer than the interval in which a waiting service looks at its database

Say = Callable[[str], None]


@dataclass(frozen=True)
class Ground:
    """A fleet that does not migrate by itself, on servers that only the bench uses."""

    infrastructure: Infrastructure
    fleet: Fleet

    @property
    def members(self) -> list[FleetMember]:
        """The services that own a database."""
        return members()

    def url_of(self, member: FleetMember) -> str:
        """The address with the driver of the service, for the administrator, who acts as the role of the service."""
        url = make_url(read_fleet(self.fleet.file)[member.name]["env"]["DATABASE_URL"])
        server = self.infrastructure.settings.postgres
        return url.set(username=server.user, password=server.password).render_as_string(hide_password=False)

    def plain_url_of(self, member: FleetMember) -> str:
        """The same without a driver, for psql."""
        return self.infrastructure.settings.postgres.url(member.database)

    def make_databases_anew(self) -> None:
        """Creates empty databases, then waits until the services have noticed what is pending."""
        make_anew(self.infrastructure.postgres, [member.database for member in self.members])
        self.infrastructure.give_databases()
        shutil.rmtree(self.infrastructure.settings.audit_folder, ignore_errors=True)  # its key signs one audit only
        time.sleep(SETTLE_SECONDS)

    def heads(self) -> dict[str, str]:
        """The revision of each database, by service."""
        address = self.infrastructure.settings.postgres
        return {member.name: revision_of(address, member.database) for member in self.members}


@contextmanager
def prepared_ground(state: Path, say: Say) -> Iterator[Ground]:
    """Starts servers and fleet, and stops all of them at the end, also after a failure."""
    settings = Settings.private(state)
    infrastructure = Infrastructure(settings, say=say)
    rendering = Rendering(settings, free_ports=True)
    try:
        infrastructure.up()
        file = render_fleet(state / "fleet", rendering)
        ground = Ground(infrastructure, Fleet(settings, file, {"MIGRATE_ON_STARTUP": "check"}))
        ground.make_databases_anew()
        say("starting the fleet under dapr run")
        ground.fleet.start()
        ground.fleet.wait()
        yield ground
    finally:
        say("stopping everything")
        Fleet(settings, state / "fleet" / "dapr.yaml").stop()
        infrastructure.down()
