"""What a migration process is told to do once it is there and ready."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from migration_sidecar.protocol.attempt import Attempt
from migration_sidecar.protocol.journal_schema import JournalTables, journal_tables

DID_NOTHING = 75  # the exit code of a process that was not needed any more


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
    def read(cls, order: Mapping[str, Any]) -> Orders:
        """From the one line of JSON that the parent sends."""
        return cls(
            attempt=Attempt(**order["attempt"]),
            lock_wait_seconds=order["lock_wait_seconds"],
            guards=order.get("guards") or {},
            tables=journal_tables(order.get("journal_table")),
            same_database=bool(order.get("same_database")),
            default_schema=order.get("default_schema") or "",
            agreed=order.get("agreed"),
            goals=tuple(order.get("goals") or ()),
        )
