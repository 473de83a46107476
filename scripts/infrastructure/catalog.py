"""What set-up has to know of fleet.toml: which services own which database."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from scripts.infrastructure.settings import ROOT


@dataclass(frozen=True)
class FleetMember:
    """A service with a database of its own."""

    name: str
    folder: str
    database: str


def members(catalog: Path = ROOT / "fleet.toml") -> list[FleetMember]:
    """In the order in which they migrate; services without a database are left out."""
    services = tomllib.loads(catalog.read_text())["services"]
    return [
        FleetMember(service["name"], service["folder"], service["database"])
        for service in services
        if "database" in service
    ]


if __name__ == "__main__":
    for member in members():
        print(member.name, member.database)
