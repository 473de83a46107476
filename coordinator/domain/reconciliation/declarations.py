"""Names that the catalog says are used no longer; events accepted because of that are counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

NO_NAMES: frozenset[str] = frozenset()


class Former(NamedTuple):
    """What a service and its database were called before."""

    names: frozenset[str] = NO_NAMES
    databases: frozenset[str] = NO_NAMES


class Left(NamedTuple):
    """A service that has left the fleet, with its journal: after `until` no event can be its own."""

    until: datetime
    reason: str


class Reason(NamedTuple):
    """Why events under this name are accepted although there is no journal of that name now."""

    name: str
    why: str


@dataclass(frozen=True)
class Declarations:
    """What the catalog says of former names. `former` is keyed by the present name."""

    former: Mapping[str, Former] = field(default_factory=dict)
    left: Mapping[str, Left] = field(default_factory=dict)
    without_database: Mapping[str, str] = field(default_factory=dict)

    def today(self, name: str) -> str:
        """The present name of a service that is known by this name; the name itself where it was never changed."""
        return next((service for service, former in self.former.items() if name in former.names), name)

    def allows(self, service: str, name: str, database: str | None, differing: set[str]) -> bool:
        """Whether an event under that name differs from its journal row only because of a former name."""
        former = self.former.get(service, Former())
        named = not differing & {"source", "service"} or name in former.names
        placed = "database" not in differing or database in former.databases
        return differing <= {"source", "service", "database"} and named and placed
