"""Gives the databases to the roles of their services: what scripts/setup_databases.sh calls after it created them."""

from __future__ import annotations

import sys

from scripts.infrastructure import private
from scripts.infrastructure.errors import InfrastructureError
from scripts.infrastructure.infrastructure import Infrastructure
from scripts.infrastructure.settings import Settings
from scripts.infrastructure.telling import say


def main() -> int:
    """Returns the exit code."""
    private.restrict_umask()
    try:
        Infrastructure(Settings.from_environment(), say=say).give_databases()
    except InfrastructureError as error:
        print(error, file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
