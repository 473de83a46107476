"""The orders that a worker process waits for before it migrates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypedDict

from migration_sidecar.protocol.attempt import Attempt, AttemptMessage
from migration_sidecar.protocol.journal_schema import JournalTables, journal_tables

EXIT_DID_NOTHING = 75  # the exit code of a worker that ended because nobody needed it any more


class OrdersMessage(TypedDict):
    """`Orders` as the service sends them: one line of JSON."""

    attempt: AttemptMessage
    lock_wait_seconds: float
    guards: dict[str, str]
    journal_table: str | None
    same_database: bool
    default_schema: str
    reads_schema: bool
    transaction_per_revision: bool
    agreed: dict[str, str | None] | None
    goals: list[str]
    beside: str | None


@dataclass(frozen=True)
class MigrationOrders:
    """Which attempt a worker carries out, how long it waits for the lock, and what it must check and set."""

    attempt: Attempt
    lock_wait_seconds: float
    guards: Mapping[str, str] = field(default_factory=dict)
    tables: JournalTables = field(default_factory=journal_tables)
    same_database: bool = False  # the connection that migrates must see the operation's own row
    default_schema: str = ""  # of an unqualified version table, from the probe
    reads_schema: bool = False  # that schema is read again when the migrations run; not with our own env.py
    transaction_per_revision: bool = False  # the operator's choice; otherwise env.py decides
    # The revisions that may be applied or reverted, each with the SHA-256 of its file, or None for any file. None: all.
    agreed: Mapping[str, str | None] | None = None
    # The full ids of the revisions that an upgrade ends at, because `head` may mean another now. Empty: see the target.
    goals: tuple[str, ...] = ()
    handed_over: bool = False  # the connection belongs to a program that goes on with it; never sent to a worker
    # What a first upgrade stands beside, if the service has judged it (`first_upgrade.rule`). None: the worker judges.
    beside: str | None = None

    @classmethod
    def read(cls, message: OrdersMessage) -> MigrationOrders:
        """Called in the worker process."""
        return cls(
            attempt=Attempt(**message["attempt"]),
            lock_wait_seconds=message["lock_wait_seconds"],
            guards=message["guards"],
            tables=journal_tables(message["journal_table"]),
            same_database=message["same_database"],
            default_schema=message["default_schema"],
            reads_schema=message["reads_schema"],
            transaction_per_revision=message["transaction_per_revision"],
            agreed=message["agreed"],
            goals=tuple(message["goals"]),
            beside=message["beside"],
        )
