"""One attempt at one operation, and the ids of the journal rows it writes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, TypedDict, cast
from uuid import UUID, uuid5

from migration_sidecar.protocol.journal_schema import PLAIN

NAMESPACE = UUID("7d8c7e0e-53c4-5c1b-9a53-0f6d7b2f4d49")


def session_name(operation_id: str) -> str:
    """The application_name of a migration's session. PostgreSQL cuts it at 63 bytes; the journal has the whole id."""
    return f"migration-sidecar:{operation_id}"[:63]


class AttemptMessage(TypedDict):
    """The JSON form of an `Attempt`."""

    operation_id: str
    number: int
    actor: str
    way_in: str
    request_id: str | None
    facts: dict[str, Any]
    version_table: str
    turn: int


@dataclass(frozen=True)
class Attempt:
    """One attempt at one operation. Every journal row it writes names who asked for it and how."""

    operation_id: str
    number: int
    actor: str
    way_in: str  # an Origin: endpoint | start-up | by hand
    request_id: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    version_table: str = PLAIN  # the history it migrates; a database may have several
    turn: int = 1  # how many times env.py has configured this history

    def event_id(self, revision: str | None, kind: str) -> UUID:
        """The id of a journal row. Equal arguments give an equal id, so a repeated write adds no second row."""
        parts = [self.operation_id, str(self.number), revision or "", kind]
        if (self.version_table, self.turn) != (PLAIN, 1):
            parts += [self.version_table, str(self.turn)]
        return uuid5(NAMESPACE, "\0".join(parts))

    def message(self) -> AttemptMessage:
        """For the orders of a worker process."""
        return cast(AttemptMessage, asdict(self))

    def detail(self, **more: Any) -> dict[str, Any]:
        """The JSON detail of a journal row: who and how, `facts`, and `more`. Values that are None are left out."""
        base = {"actor": self.actor, "way_in": self.way_in, "request_id": self.request_id, **self.facts, **more}
        return {key: value for key, value in base.items() if value is not None}
