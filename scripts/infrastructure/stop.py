"""Ends the fleet with all its processes, then the servers. Data is not deleted."""

from __future__ import annotations

import sys

from scripts.infrastructure import ports, private
from scripts.infrastructure.errors import InfrastructureError
from scripts.infrastructure.fleet import Fleet
from scripts.infrastructure.infrastructure import Infrastructure
from scripts.infrastructure.render import PORT_KEYS, read_fleet
from scripts.infrastructure.settings import Settings
from scripts.infrastructure.telling import say


def stop_fleets(settings: Settings) -> None:
    """Ends the fleets of this checkout.

    Also one that was started by hand, and processes that a killed `dapr run` left behind.
    """
    fleets = Fleet.known(settings)
    stopped = [fleet.stop() for fleet in fleets] or [Fleet(settings).program.stop()]
    say("the fleet stopped" if any(stopped) else "no fleet of this checkout was running")
    for fleet in fleets:
        name_other_programs(fleet)


def name_other_programs(fleet: Fleet) -> None:
    """Names the programs on this fleet's ports that may not be ours, and does not end them."""
    numbers = [application[key] for application in read_fleet(fleet.file).values() for key in PORT_KEYS]
    ports_of: dict[str, list[str]] = {}
    for port in numbers:
        if not ports.is_free(port):
            ports_of.setdefault(ports.owner(port), []).append(str(port))
    for owner, used in ports_of.items():
        say(f"port {', '.join(used)} is still in use by {owner}, which is not of this fleet: stop it yourself")


def main() -> int:
    """Called by scripts/stop. Returns the exit code."""
    private.restrict_umask()
    settings = Settings.from_environment()
    try:
        stop_fleets(settings)
        Infrastructure(settings, say=say).down()
    except InfrastructureError as error:
        print(error, file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
