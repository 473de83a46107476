"""Ends the fleet with everything it started, then the servers; data stays."""

from __future__ import annotations

import sys

from scripts.infrastructure import ports, private
from scripts.infrastructure.errors import InfrastructureError
from scripts.infrastructure.fleet import Fleet
from scripts.infrastructure.infrastructure import Infrastructure
from scripts.infrastructure.render import PORT_KEYS, read_fleet
from scripts.infrastructure.settings import Settings
from scripts.infrastructure.telling import tell


def stop_fleets(settings: Settings) -> None:
    """Also one that was started by hand in this checkout, and what a closed terminal or a kill left of one."""
    fleets = Fleet.known(settings)
    stopped = [fleet.stop() for fleet in fleets] or [Fleet(settings).program.stop()]
    tell("the fleet stopped" if any(stopped) else "no fleet of this checkout was running")
    for fleet in fleets:
        tell_of_strangers(fleet)


def tell_of_strangers(fleet: Fleet) -> None:
    """Nothing proves that these are ours, so they are named and left alone."""
    numbers = [application[key] for application in read_fleet(fleet.file).values() for key in PORT_KEYS]
    taken: dict[str, list[str]] = {}
    for port in numbers:
        if not ports.is_free(port):
            taken.setdefault(ports.owner(port), []).append(str(port))
    for owner, at in taken.items():
        tell(
            f"port {', '.join(at)} is still in use by {owner}, which is not of this fleet: end it where it was started"
        )


def main() -> int:
    private.from_now_on()
    settings = Settings.from_environment()
    try:
        stop_fleets(settings)
        Infrastructure(settings, say=tell).down()
    except InfrastructureError as error:
        print(error, file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
