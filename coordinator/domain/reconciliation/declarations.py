"""What a fleet's catalog says of names that are used no longer; what is accepted because of it is counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

NOBODY: frozenset[str] = frozenset()


class Former(NamedTuple):
    """What a service and its database were called before."""

    names: frozenset[str] = NOBODY
    databases: frozenset[str] = NOBODY


class Left(NamedTuple):
    """A service that has gone, with its journal: from `until` on nobody can have told anything in its name."""

    until: datetime
    reason: str


class Because(NamedTuple):
    """Why events of this name are accepted although no journal of that name is there today."""

    name: str
    why: str


@dataclass(frozen=True)
class Declarations:
    """`former` by the name of today; `without_database` with the reason that the catalog gives."""

    former: Mapping[str, Former] = field(default_factory=dict)
    left: Mapping[str, Left] = field(default_factory=dict)
    without_database: Mapping[str, str] = field(default_factory=dict)

    def today(self, name: str) -> str:
        return next((service for service, former in self.former.items() if name in former.names), name)

    def allows(self, service: str, name: str, database: str | None, differing: set[str]) -> bool:
        """Whether an event that was told under that name differs from its row only because of a former name."""
        former = self.former.get(service, Former())
        named = not differing & {"source", "service"} or name in former.names
        placed = "database" not in differing or database in former.databases
        return differing <= {"source", "service", "database"} and named and placed
