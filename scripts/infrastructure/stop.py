"""Ends the fleet with everything it started, then the servers; data stays."""

from __future__ import annotations

import sys

from scripts.infrastructure import ports, private
from scripts.infrastructure.errors import InfrastructureError
from scripts.infrastructure.fleet import COORDINATOR, Fleet
from scripts.infrastructure.infrastructure import Infrastructure
from scripts.infrastructure.render import read_fleet
from scripts.infrastructure.settings import Settings
from scripts.infrastructure.telling import tell


def stop_fleet(fleet: Fleet) -> None:
    """A fleet that was started by hand belongs to whoever started it: it is named, not ended."""
    tell("the fleet stopped" if fleet.stop() else "the fleet was not started by quickstart, or is stopped already")
    port = read_fleet(fleet.file)[COORDINATOR]["daprHTTPPort"]
    if not ports.is_free(port):
        tell(f"port {port} is still in use by {ports.owner(port)}: end that one where it was started, with Ctrl-C")


def main() -> int:
    private.from_now_on()
    settings = Settings.from_environment()
    try:
        stop_fleet(Fleet(settings))
        Infrastructure(settings, say=tell).down()
    except InfrastructureError as error:
        print(error, file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
