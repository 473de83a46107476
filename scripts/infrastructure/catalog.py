"""What set-up has to know of fleet.toml: which services own which database."""

from __future__ import annotations

import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.infrastructure.errors import BadFleetFile
from scripts.infrastructure.settings import ROOT


@dataclass(frozen=True)
class FleetMember:
    """A service with a database of its own."""

    name: str
    folder: str
    database: str


def members(catalog: Path = ROOT / "fleet.toml") -> list[FleetMember]:
    """In the order in which they migrate; services without a database are left out. Raises BadFleetFile."""
    services = _document(catalog).get("services")
    if not isinstance(services, list) or not services:
        raise BadFleetFile(catalog, "it has no [[services]]")
    return [
        _member(catalog, number, service)
        for number, service in enumerate(services, 1)
        if not isinstance(service, dict) or "database" in service
    ]


def _document(catalog: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(catalog.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadFleetFile(catalog, error.strerror or "it cannot be read") from None
    except UnicodeDecodeError:
        raise BadFleetFile(catalog, "it is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise BadFleetFile(catalog, f"it is not TOML: {error}") from None


def _member(catalog: Path, number: int, service: Any) -> FleetMember:
    given = service if isinstance(service, dict) else {}
    which = given.get("name") or f"number {number}"
    texts: list[str] = []
    for key in ("name", "folder", "database"):
        if not isinstance(value := given.get(key), str) or not value:
            raise BadFleetFile(catalog, f"the service {which} needs `{key}`, a text")
        texts.append(value)
    return FleetMember(*texts)


def main() -> int:
    """A line per member for the shell; the folder last, because only that may hold a blank."""
    try:
        found = members()
    except BadFleetFile as error:
        print(error, file=sys.stderr)
        return 2
    for member in found:
        print(member.name, member.database, member.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
