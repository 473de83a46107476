"""Ends the fleet with everything it started, then the servers; data stays."""

from __future__ import annotations

import sys

from scripts.infrastructure.errors import InfrastructureError
from scripts.infrastructure.fleet import Fleet
from scripts.infrastructure.infrastructure import Infrastructure
from scripts.infrastructure.settings import Settings


def main() -> int:
    settings = Settings.from_environment()
    try:
        print(f"the fleet {'stopped' if Fleet(settings).stop() else 'was not running'}")
        Infrastructure(settings, say=print).down()
    except InfrastructureError as error:
        print(error, file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
