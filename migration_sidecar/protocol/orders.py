"""What a migration process is told to do once it is there and ready."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypedDict

from migration_sidecar.protocol.attempt import Attempt, AttemptMessage
from migration_sidecar.protocol.journal_schema import JournalTables, journal_tables

DID_NOTHING = 75  # the exit code of a process that was not needed any more


class OrdersMessage(TypedDict):
    """`Orders` as the service sends them: one line of JSON."""

    attempt: AttemptMessage
    lock_wait_seconds: float
    guards: dict[str, str]
    journal_table: str | None
    same_database: bool
    default_schema: str
    agreed: dict[str, str | None] | None
    goals: list[str]


@dataclass(frozen=True)
class Orders:
    """Which attempt this process carries out, how long it may wait for the lock, and what it must find and set."""

    attempt: Attempt
    lock_wait_seconds: float
    guards: Mapping[str, str] = field(default_factory=dict)
    tables: JournalTables = field(default_factory=journal_tables)
    same_database: bool = False  # the operation's own row must be visible to the connection that migrates
    default_schema: str = ""  # of the version table, where env.py leaves it to a search_path of its own
    # The revisions that may be applied or reverted, each with the SHA-256 of its file; None for any.
    agreed: Mapping[str, str | None] | None = None
    # What an upgrade leads to, by full ids, however the files have changed what `head` means; empty for the target.
    goals: tuple[str, ...] = ()

    @classmethod
    def read(cls, message: OrdersMessage) -> Orders:
        """Called in the worker process."""
        return cls(
            attempt=Attempt(**message["attempt"]),
            lock_wait_seconds=message["lock_wait_seconds"],
            guards=message["guards"],
            tables=journal_tables(message["journal_table"]),
            same_database=message["same_database"],
            default_schema=message["default_schema"],
            agreed=message["agreed"],
            goals=tuple(message["goals"]),
        )
