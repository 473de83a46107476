"""What set-up has to know of fleet.toml: which services own which database. The order is the coordinator's own."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from coordinator.domain.catalog import Service
from coordinator.domain.catalog_file import read_catalog
from coordinator.errors import BadCatalog
from scripts.infrastructure.errors import BadFleetFile
from scripts.infrastructure.settings import ROOT


@dataclass(frozen=True)
class FleetMember:
    """A service that owns a database."""

    name: str
    folder: str
    database: str
    former_names: tuple[str, ...] = ()


def members(catalog: Path = ROOT / "fleet.toml") -> list[FleetMember]:
    """In the order in which they migrate; services without a database are left out. Raises BadFleetFile."""
    try:
        services = read_catalog(catalog.read_text(encoding="utf-8")).databases
    except OSError as error:
        raise BadFleetFile(catalog, error.strerror or "it cannot be read") from None
    except UnicodeDecodeError:
        raise BadFleetFile(catalog, "it is not UTF-8") from None
    except BadCatalog as error:
        raise BadFleetFile(catalog, error.detail.rstrip(".")) from None
    return [_member(catalog, service) for service in services]


def _member(catalog: Path, service: Service) -> FleetMember:
    if not service.folder:
        raise BadFleetFile(catalog, f"the service {service.name} needs `folder`, a text")
    return FleetMember(service.name, service.folder, service.database or "", tuple(service.former_names))


def main() -> int:
    """Prints one line for each member, for the shell. The folder is last, because only it may contain a space."""
    try:
        fleet = members()
    except BadFleetFile as error:
        print(error, file=sys.stderr)
        return 2
    for member in fleet:
        print(member.name, member.database, member.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
